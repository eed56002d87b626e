"""The first stage: the data doctor."""

from clipc.audit.doctor import doctor, stops, without_images
from clipc.study.pilot.stages.stage import Context, Results, StageResult


def examine(context: Context, _: Results) -> StageResult:
    """Examines the data; findings that make every answer meaningless stop the pilot."""
    tables = doctor(context.catalog, context.design.baseline, speed=False, progress=context.progress)
    found = stops(tables)
    codes = [finding["code"] for finding in found]
    counts = {name: sum(f["severity"] == name for f in tables["findings"]) for name in ("stop", "warning", "note")}
    reason = f"the doctor found {', '.join(codes)} (clipc doctor SOURCE shows the cases)"
    values = {**counts, "codes": codes, "reason": reason}
    code = "stop" if found else "warning" if counts["warning"] else "sound"
    return StageResult(not found, code, values, {"doctor": without_images(tables)})
