"""Run a packed file where numpy alone can be imported: FILE INPUT.npy OUT.npy ENGINE."""

import sys

ALLOWED = {"numpy", "secateur_runtime", *sys.stdlib_module_names}


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not installed here")


sys.meta_path.insert(0, Refusing())

import numpy as np  # noqa: E402

import secateur_runtime  # noqa: E402

for gone in ("torch", "secateur", "scipy", "safetensors"):
    try:
        __import__(gone)
    except ImportError:
        continue
    raise SystemExit(f"{gone} can be imported, so this shows nothing")

file, given, out, engine = sys.argv[1:]
network = secateur_runtime.load(file, engine=engine)
np.save(out, network(np.load(given)))
print(network.explain())
print(sorted({name.partition(".")[0] for name in sys.modules} - ALLOWED - {"__main__"}))
