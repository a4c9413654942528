"""secateur: prune neural networks, and audit what pruning did to the privacy of their data.

Every public name is here; a name's room is imported when the name is first used, so that
`import secateur` is quick and loads no torch.

Example:
    >>> import secateur
    >>> secateur.LiRA().min_in > 0
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secateur.attack.learned import SAMIA, NasrAttack
    from secateur.attack.membership import (
        RMIA,
        AttackP,
        AttackR,
        BaVarIA,
        Calibrated,
        ConfidenceThreshold,
        EntropyThreshold,
        GapAttack,
        HierarchicalLiRA,
        LabelOnly,
        LiRA,
        LossThreshold,
        ModifiedEntropyThreshold,
        MultiVersion,
        Neighbours,
        PairAttack,
        QuantileRegression,
        StackedAttack,
        VectorLiRA,
        WhiteBox,
        recommended,
    )
    from secateur.auditing import audit, audit_signals, default_attacks
    from secateur.compress import (
        ADMM,
        NM,
        Channels,
        Columns,
        Coupled,
        Filters,
        FromScratch,
        Magnitude,
        QuantisationAware,
        RandomMask,
        RefreshStatistics,
        RewindCritical,
    )
    from secateur.data import (
        Augmented,
        MeanSignal,
        Mislabelled,
        NearDuplicates,
        NearestRecords,
        Noise,
        OutOfDistribution,
        Queries,
        Recombinations,
        digits,
        draw,
        given,
        load,
        plant,
    )
    from secateur.defend import (
        DMP,
        DPSGD,
        HAMP,
        PAST,
        SELENA,
        CrossFit,
        EarlyStopping,
        EnsembleDMP,
        GroupNormDense,
        InSampleDistillation,
        LabelSmoothing,
        MinMax,
        PoolOnly,
        RelaxLoss,
        SmallDense,
        Subsample,
        TeacherNetwork,
        WeightDecay,
    )
    from secateur.deploy import (
        Onnx,
        OnnxInt8,
        Pack,
        Safetensors,
        Shrink,
        footprint,
        latency,
        load_packed,
    )
    from secateur.errors import SecateurError, SecateurWarning
    from secateur.measure import (
        auc,
        balanced_accuracy,
        by_group,
        difference,
        epsilon_bound,
        epsilon_estimate,
        epsilon_over_runs,
        information_rows,
        most_exposed,
        positive_predictive_value,
        realised_fpr,
        tpr_at_fpr,
    )
    from secateur.models import (
        MLP,
        VGG16,
        GroupNormed,
        LeNet5,
        LeNet20,
        MobileNetV2,
        Normalised,
        ResNet18,
        SmallCNN,
        rebuild,
    )
    from secateur.probe import SignalProbe
    from secateur.probe.run import observe
    from secateur.report.table import render_text
    from secateur.store import open_fleet, read_report, write_report
    from secateur.trackers import MLflow, TensorBoard, WandB, track
    from secateur.train import (
        SGD,
        Adam,
        Mixup,
        Phase,
        Processes,
        RandomCrop,
        RandomFlip,
        RandomShift,
        Ray,
        Recipe,
        Serial,
        Snapshots,
        Stacked,
        apply,
        train_fleet,
    )
    from secateur.types import (
        Artifact,
        Control,
        Fleet,
        Measurement,
        Membership,
        Observations,
        Provenance,
        Records,
        Report,
        Scores,
        Series,
        Signal,
    )

    __version__: str

# one name a line would be half of this file
# fmt: off
__all__ = [
    "ADMM", "DMP", "DPSGD", "HAMP", "MLP", "NM", "PAST", "RMIA", "SAMIA", "SELENA", "SGD",
    "VGG16", "Adam", "Artifact", "AttackP", "AttackR", "Augmented", "BaVarIA", "Calibrated",
    "Channels", "Columns", "ConfidenceThreshold", "Control", "Coupled", "CrossFit",
    "EarlyStopping", "EnsembleDMP", "EntropyThreshold", "Filters", "Fleet", "FromScratch",
    "GapAttack", "GroupNormDense", "GroupNormed", "HierarchicalLiRA", "InSampleDistillation",
    "LabelOnly", "LabelSmoothing", "LeNet5", "LeNet20", "LiRA", "LossThreshold", "MLflow",
    "Magnitude", "MeanSignal", "Measurement", "Membership", "MinMax", "Mislabelled", "Mixup",
    "MobileNetV2", "ModifiedEntropyThreshold", "MultiVersion", "NasrAttack", "NearDuplicates",
    "NearestRecords", "Neighbours", "Noise", "Normalised", "Observations", "Onnx", "OnnxInt8",
    "OutOfDistribution", "Pack", "PairAttack", "Phase", "PoolOnly", "Processes", "Provenance",
    "QuantileRegression", "QuantisationAware", "Queries", "RandomCrop", "RandomFlip",
    "RandomMask", "RandomShift", "Ray", "Recipe", "Recombinations", "Records",
    "RefreshStatistics", "RelaxLoss", "Report", "ResNet18", "RewindCritical", "Safetensors",
    "Scores", "SecateurError", "SecateurWarning", "Serial", "Series", "Shrink", "Signal",
    "SignalProbe", "SmallCNN", "SmallDense", "Snapshots", "Stacked", "StackedAttack",
    "Subsample", "TeacherNetwork", "TensorBoard", "VectorLiRA", "WandB", "WeightDecay",
    "WhiteBox", "__version__", "apply", "auc", "audit", "audit_signals", "balanced_accuracy",
    "by_group", "default_attacks", "difference", "digits", "draw", "epsilon_bound",
    "epsilon_estimate", "epsilon_over_runs", "footprint", "given", "information_rows",
    "latency", "load", "load_packed", "most_exposed", "observe", "open_fleet", "plant",
    "positive_predictive_value", "read_report", "realised_fpr", "rebuild", "recommended",
    "render_text", "tpr_at_fpr", "track", "train_fleet", "write_report",
]
# fmt: on

_ROOMS = {
    "attack.learned": "SAMIA NasrAttack",
    "attack.membership": "RMIA AttackP AttackR BaVarIA Calibrated ConfidenceThreshold "
    "EntropyThreshold GapAttack HierarchicalLiRA LabelOnly LiRA LossThreshold "
    "ModifiedEntropyThreshold MultiVersion Neighbours PairAttack QuantileRegression "
    "StackedAttack VectorLiRA WhiteBox recommended",
    "auditing": "audit audit_signals default_attacks",
    "compress": "ADMM NM Channels Columns Coupled Filters FromScratch Magnitude QuantisationAware "
    "RandomMask RefreshStatistics RewindCritical",
    "data": "Augmented MeanSignal Mislabelled NearDuplicates NearestRecords Noise "
    "OutOfDistribution Queries Recombinations digits draw given load plant",
    "defend": "DMP DPSGD HAMP PAST SELENA CrossFit EarlyStopping EnsembleDMP GroupNormDense "
    "InSampleDistillation LabelSmoothing MinMax PoolOnly RelaxLoss SmallDense Subsample "
    "TeacherNetwork WeightDecay",
    "deploy": "Onnx OnnxInt8 Pack Safetensors Shrink footprint latency load_packed",
    "errors": "SecateurError SecateurWarning",
    "measure": "auc balanced_accuracy by_group difference epsilon_bound epsilon_estimate "
    "epsilon_over_runs information_rows most_exposed positive_predictive_value realised_fpr "
    "tpr_at_fpr",
    "models": "MLP VGG16 GroupNormed LeNet5 LeNet20 MobileNetV2 Normalised ResNet18 SmallCNN "
    "rebuild",
    "probe": "SignalProbe",
    "probe.run": "observe",
    "report.table": "render_text",
    "store": "open_fleet read_report write_report",
    "trackers": "MLflow TensorBoard WandB track",
    "train": "SGD Adam Mixup Phase Processes RandomCrop RandomFlip RandomShift Ray Recipe Serial "
    "Snapshots Stacked apply train_fleet",
    "types": "Artifact Control Fleet Measurement Membership Observations Provenance Records Report "
    "Scores Series Signal",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("secateur")
    elif name in _ROOM_OF:
        value = getattr(import_module(f"secateur.{_ROOM_OF[name]}"), name)
    else:
        raise AttributeError(f"module 'secateur' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
