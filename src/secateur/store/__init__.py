"""The only code that knows file formats; numpy, safetensors and JSON, never a pickle.

Every file is written beside its place and then moved there, carries the digest of its content,
and is refused with the reason when it is missing, truncated, altered or somebody else's.
"""

from __future__ import annotations

from secateur.store.answers import (
    ANSWERS,
    answer_folders,
    begin_answers,
    found_answers,
    is_answers,
    remove_answers,
    write_answers,
)
from secateur.store.arrays import (
    read_membership,
    read_observations,
    read_scores,
    write_membership,
    write_observations,
    write_scores,
)
from secateur.store.cache import give_model, take_model
from secateur.store.documents import (
    read_document,
    read_report,
    read_result,
    read_text,
    report_text,
    write_document,
    write_report,
    write_sweep,
    write_text,
)
from secateur.store.exports import Export, beside, read_export, write_export
from secateur.store.files import bytes_below, clean_temporaries, refuse_no_file
from secateur.store.finished import (
    StoredArtifacts,
    finish_fleet,
    fleet_digest,
    note_choice,
    note_cost,
    open_fleet,
)
from secateur.store.fleets import (
    FleetFolder,
    FleetPlan,
    begun_engine,
    create_fleet,
    found_model,
    model_path,
    read_fleet_plan,
    remove_unstarted_fleet,
)
from secateur.store.layouts import read_signals
from secateur.store.lessons import (
    LESSONS,
    TEACHER,
    bytes_of_lessons,
    lesson_folders,
    read_lesson,
    read_teacher,
    remove_lessons,
    write_lesson,
    write_teacher,
)
from secateur.store.locks import only_run_in
from secateur.store.others import refuse_other_fleet
from secateur.store.png import png_bytes, png_uri
from secateur.store.record_tables import (
    check_record_table,
    note_beside,
    record_table,
    retention_note,
    text_cell,
    write_record_table,
)
from secateur.store.score_tables import (
    RecordScores,
    read_record_scores,
    read_score_table,
    write_score_table,
)
from secateur.store.signals import SavedSignals
from secateur.store.tensors import read_artifact, write_artifact

__all__ = [
    "ANSWERS",
    "LESSONS",
    "TEACHER",
    "Export",
    "FleetFolder",
    "FleetPlan",
    "RecordScores",
    "SavedSignals",
    "StoredArtifacts",
    "answer_folders",
    "begin_answers",
    "begun_engine",
    "beside",
    "bytes_below",
    "bytes_of_lessons",
    "check_record_table",
    "clean_temporaries",
    "create_fleet",
    "finish_fleet",
    "fleet_digest",
    "found_answers",
    "found_model",
    "give_model",
    "is_answers",
    "lesson_folders",
    "model_path",
    "note_beside",
    "note_choice",
    "note_cost",
    "only_run_in",
    "open_fleet",
    "png_bytes",
    "png_uri",
    "read_artifact",
    "read_document",
    "read_export",
    "read_fleet_plan",
    "read_lesson",
    "read_membership",
    "read_observations",
    "read_record_scores",
    "read_report",
    "read_result",
    "read_score_table",
    "read_scores",
    "read_signals",
    "read_teacher",
    "read_text",
    "record_table",
    "refuse_no_file",
    "refuse_other_fleet",
    "remove_answers",
    "remove_lessons",
    "remove_unstarted_fleet",
    "report_text",
    "retention_note",
    "take_model",
    "text_cell",
    "write_answers",
    "write_artifact",
    "write_document",
    "write_export",
    "write_lesson",
    "write_membership",
    "write_observations",
    "write_record_table",
    "write_report",
    "write_score_table",
    "write_scores",
    "write_sweep",
    "write_teacher",
    "write_text",
]
