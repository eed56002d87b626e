"""``clipc export``."""

from pathlib import Path

from clipc.cli.screen import note
from clipc.cli.source import Json, Out, show


def export(
    run: Path,
    /,
    *,
    out: Out = None,
    onnx: bool = False,
    hub_id: str | None = None,
    license: str = "unknown",
    as_json: Json = False,
) -> None:
    """Writes a trained model as open_clip loads it, from a folder or from the Hugging Face Hub, with a model card.

    Args:
        run: A run folder, whose best model is taken, or a model folder.
        out: The folder to write; export in the run's folder, or beside the model's, by default. An earlier export
            in it is replaced, nothing else is.
        onnx: Also write both towers as ONNX, checked against PyTorch.
        hub_id: The repository it will be pushed to, as org/name: needed where the vocabulary is not CLIP's own.
        license: For the card, an identifier of the Hub's such as mit.
        as_json: Print the folder and the ONNX differences as one JSON object.
    """
    from clipc.export.export import export_model, exported_facts
    from clipc.recipe.run import Run

    # Beside a model's own files an export would be no part of the model.
    home = run.parent if (run / "open_clip_config.json").is_file() else run
    folder = export_model(run, out or home / "export", onnx=onnx, hub_id=hub_id, license=license)
    if (run / "recipe.yaml").is_file() and Run(run).finished is None:
        note(f"the run {run} has not ended: this is its best model so far, and the card says so.")
    found = exported_facts(folder)["onnx"]
    lines = [f"{folder}: open_clip.create_model_and_transforms('local-dir:{folder}') loads it."]
    lines += [f"onnx/{tower}.onnx differs from PyTorch by at most {worst:.1e}." for tower, worst in found.items()]
    show({"folder": str(folder), "onnx": found}, as_json, lines)
