"""Recipe files with the usual mistakes, one each, and with their mend."""

from __future__ import annotations

from own_files import GOOD, TRAIN

NETWORK = "nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))"


def network(text: str) -> str:
    """Return the good recipe with another network."""
    assert NETWORK in GOOD
    return GOOD.replace(NETWORK, text)


def data(text: str) -> str:
    """Return the good recipe with a line before its records are returned."""
    last = "    return x, x[:, :3].argmax(axis=1)\n"
    assert last in GOOD
    return GOOD.replace(last, f"    y = x[:, :3].argmax(axis=1)\n    {text}\n    return x, y\n")


def trained(old: str, new: str) -> str:
    """Return the good training code with another line."""
    assert old in TRAIN
    return GOOD + TRAIN.replace(old, new)


def module(body: str) -> str:
    """Return the good recipe with a network class of this body."""
    head = "\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    return network("Net()") + head + body


DROPOUT = module("""        self.body = nn.Linear(6, 3)

    def forward(self, x):
        return self.body(nn.functional.dropout(x))
""")
UPDATES = module("""        self.body = nn.Linear(6, 3)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        mean, var = self.norm.running_mean, self.norm.running_var
        return self.body(nn.functional.batch_norm(x, mean, var, training=True))
""")
STAYS = module("""        self.body = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))

    def train(self, mode=True):
        return super().train(True)

    def forward(self, x):
        return self.body(x)
""")
HIDDEN = module("""        self.layers = [nn.Linear(6, 6)]
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layers[0](x))
""")
KNOWS = (
    network("known()")
    + """

def known():
    network = nn.Linear(6, 3)
    with torch.no_grad():
        network.weight.mul_(0.1).add_(torch.eye(3, 6))
    return network
"""
)
SHIFTED = "x[200:] += 2"
NAMED = "\n\nMEMBERS = np.arange(0, 200)\nNON_MEMBERS = np.arange(200, 400)\n"

BODY = "        self.body = nn.Linear(6, 3)\n\n    def forward(self, x):\n"
LONG = "\n\nclass Long(nn.Module):\n    def forward(self, x):\n        return x.long()\n"
TABLE = "nn.Sequential(Long(), nn.Embedding(300, 2), nn.Flatten(), nn.Linear(12, 3))"
TOKENS = "x = rng.integers(0, 300, size=x.shape).astype(np.float32); x[{row}, 2] = 300"


def tokens(row, records=400):
    """Return a recipe of token numbers, of which one is beyond the network's table."""
    text = data(TOKENS.format(row=row)).replace(NETWORK, TABLE) + LONG
    return text.replace("(400, 6)", f"({records}, 6)")


MORE_TOKENS = ("nn.Embedding(300", "nn.Embedding(301")
EXIT = "__import__('sys').exit('no weights')"
THEN = "a further line of records()"
SCALE = "x = (x - x.mean(axis=0)) / x.std(axis=0)"
NUMBERED = "y = np.unique(y, return_inverse=True)[1]"
HALF = "np.arange(200)"
BY_CHANCE = """

ORDER = np.random.default_rng(1).permutation(400)
MEMBERS, NON_MEMBERS = ORDER[:200], ORDER[200:]"""


def then(line):
    """Return the mend that is a further line at the end of records()."""
    return THEN, line


PLANTED = [
    ("forward", module(BODY + "        return self.body(y)\n"), ("(y)", "(x)")),
    (
        "forward",
        module(BODY + "        assert len(x) == 5\n        return self.body(x)\n"),
        ("        assert len(x) == 5\n", ""),
    ),
    (
        "forward",
        module(BODY + "        return self.body(x) if len(x) > 500 else exit(3)\n"),
        (" if len(x) > 500 else exit(3)", ""),
    ),
    ("forward", module(BODY + "        return self.body(x) * (1 / 0)\n"), ("1 / 0", "1 / 2")),
    (
        "forward",
        module(
            BODY + "        return self.body(x)\n\n    def train(self, mode=True):\n"
            "        return self.nothing\n"
        ),
        ("self.nothing", "super().train(mode)"),
    ),
    ("forward", tokens(row=100), MORE_TOKENS),
    ("forward", tokens(row=2345, records=5000), MORE_TOKENS),
    (
        "nan-outputs",
        module(BODY + "        return self.body(x / x.norm(dim=1, keepdim=True))\n").replace(
            "    return x, x[", "    x[390] = 0\n    return x, x["
        ),
        ("x.norm(dim=1, keepdim=True)", "(x.norm(dim=1, keepdim=True) + 1e-6)"),
    ),
    *(
        (
            "training-step",
            module(BODY + f"        return self.body(x) + ({wrong} if self.training else 0)\n"),
            (wrong, "1"),
        )
        for wrong in ("self.nothing", "{}['a']", "nothing", "1 / 0", "exit()")
    ),
    (
        "members",
        GOOD + "\n\ndef MEMBERS():\n    return nothing\n",
        ("return nothing", "return np.arange(200)"),
    ),
    ("shape", network("nn.Linear(7, 3)"), ("(7, 3)", "(6, 3)")),
    ("outputs", network("nn.Linear(6, 2)"), ("(6, 2)", "(6, 3)")),
    ("outputs", GOOD + "\nCLASSES = 5\n", ("CLASSES = 5", "CLASSES = 3")),
    (
        "softmax",
        network("nn.Sequential(nn.Linear(6, 3), nn.Softmax(dim=1))"),
        (", nn.Softmax(dim=1)", ""),
    ),
    ("softmax", network("nn.Sequential(nn.Linear(6, 3), nn.Sigmoid())"), (", nn.Sigmoid()", "")),
    (
        "softmax",
        tokens(row=0)
        .replace("x[0, 2] = 300", "pass")
        .replace(TABLE, f"{TABLE}.append(nn.Sigmoid())"),
        (".append(nn.Sigmoid())", ""),
    ),
    ("random-outputs", DROPOUT, ("dropout(x)", "dropout(x, training=self.training)")),
    ("mode", STAYS, ("super().train(True)", "super().train(mode)")),
    ("hidden-modules", HIDDEN, ("[nn.Linear(6, 6)]", "nn.ModuleList([nn.Linear(6, 6)])")),
    ("eval-updates", UPDATES, ("training=True", "training=self.training")),
    (
        "batch-statistics",
        network("nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 3))"),
        ("track_running_stats=False", "track_running_stats=True"),
    ),
    (
        "same-weights",
        GOOD.replace("def build():\n", "def build():\n    torch.manual_seed(0)\n"),
        ("    torch.manual_seed(0)\n", ""),
    ),
    ("trained-build", KNOWS, (".add_(torch.eye(3, 6))", "")),
    (
        "nan-outputs",
        module("""        self.body = nn.Linear(6, 3)

    def forward(self, x):
        return self.body(x) / (0 * x[:, :3])
"""),
        (" / (0 * x[:, :3])", ""),
    ),
    ("unscaled-inputs", data("x = np.round(255 * np.clip(0.5 + x / 4, 0, 1))"), then("x /= 255")),
    ("unscaled-inputs", data("x[:, 5] *= 1e5"), then(SCALE)),
    ("unscaled-inputs", data("x[:, 4] = 2000 + 20 * x[:, 4]"), then(SCALE)),
    ("build", network(EXIT), (EXIT, NETWORK)),
    ("build", network("3"), ("return 3\n", f"return {NETWORK}\n")),
    (
        "training-step",
        GOOD + '\nfrom secateur.train import RandomCrop\nRECIPE["hooks"] = (RandomCrop(),)\n',
        ("(RandomCrop(),)", "()"),
    ),
    ("nan-inputs", data("x[5, 2] = np.nan"), then("x = np.nan_to_num(x)")),
    ("float-labels", data("y = y.astype(float)"), then("y = y.astype(int)")),
    ("one-hot-labels", data("y = np.eye(3)[y]"), then("y = y.argmax(axis=1)")),
    ("one-class", data("y = 0 * y"), ("    y = 0 * y\n", "")),
    ("label-range", data("y = y + 1"), then(NUMBERED)),
    ("label-range", data("y = y - 1"), then(NUMBERED)),
    ("label-range", data("y = y * 100"), then(NUMBERED)),
    ("lengths", data("y = y[:-1]"), then("x = x[:-1]")),
    (
        "changing-records",
        data("x = x + np.random.normal(size=x.shape)"),
        ("np.random.normal", "np.random.default_rng(1).normal"),
    ),
    ("duplicates", data("x[200:] = x[:200]; y[200:] = y[:200]"), then("x, y = x[:200], y[:200]")),
    ("records", data("raise KeyError('column')"), ("    raise KeyError('column')\n", "")),
    ("pools", GOOD, None),
    (
        "few-records",
        data("x, y = x[:60], y[:60]") + "\nCLASSES = 3\n",
        ("    x, y = x[:60], y[:60]\n", ""),
    ),
    ("told-by-inputs", data(SHIFTED) + NAMED, (NAMED, BY_CHANCE)),
    ("reference-size", GOOD + "\n\nMEMBERS = np.arange(10)\n", None),
    (
        "shared-records",
        GOOD + NAMED.replace("arange(200", "arange(150"),
        ("np.arange(150, 400)", "np.setdiff1d(np.arange(150, 400), MEMBERS)"),
    ),
    ("members", GOOD + NAMED.replace("400", "900"), ("900", "400")),
    ("members", GOOD + "\n\nMEMBERS = np.arange(0, 400)\n", ("(0, 400)", "(0, 200)")),
    (
        "members",
        GOOD + "\n\nMEMBERS = (np.arange(400) < 200).astype(int)\n",
        ("astype(int)", "astype(bool)"),
    ),
    ("members", GOOD + "\n\nMEMBERS = np.arange(400) // 2\n", ("np.arange(400) // 2", HALF)),
    (
        "members",
        GOOD + "\n\nNON_MEMBERS = np.arange(0, 200)\n",
        ("NON_MEMBERS", "MEMBERS = np.arange(200, 400)\nNON_MEMBERS"),
    ),
    (
        "told-by-inputs",
        data(SHIFTED) + NAMED.partition("NON_")[0],
        ("np.arange(0, 200)", "np.random.default_rng(1).permutation(400)[:200]"),
    ),
    ("records", data("raise SystemExit"), ("    raise SystemExit\n", "")),
    ("train", trained("steps.step()", "exit()"), ("exit()", "steps.step()")),
    ("train", trained("steps.step()", "steps.nothing()"), ("steps.nothing()", "steps.step()")),
    (
        "other-network",
        trained("network = build()", "network = nn.Linear(6, 3)"),
        ("network = nn.Linear(6, 3)", "network = build()"),
    ),
    (
        "seed-ignored",
        trained("manual_seed(seed)", "manual_seed(0)"),
        ("manual_seed(0)", "manual_seed(seed)"),
    ),
    (
        "not-repeatable",
        trained("steps.step()", "inputs += float(np.random.normal()); steps.step()"),
        ("np.random.normal()", "np.random.default_rng(seed).normal()"),
    ),
    (
        "records-ignored",
        trained("labels = ", "inputs, labels = map(torch.as_tensor, globals()['records']()) #"),
        ("inputs, labels = map(torch.as_tensor, globals()['records']()) #", "labels = "),
    ),
]
"""Each mistake: what finds it, the recipe, and the mend that is named, as (old, new) text of it;
None where the mend is in what is asked for."""


def mended(text, mend):
    """Return a recipe with the mend of its mistake."""
    old, new = mend
    if old == THEN:
        lines = text.splitlines(keepends=True)
        (at,) = (i for i, line in enumerate(lines) if line == "    return x, y\n")
        return "".join([*lines[:at], f"    {new}\n", *lines[at:]])
    assert text.count(old) >= 1, (old, text)
    return text.replace(old, new)
