"""``clipc export``."""

from pathlib import Path

from clipc.cli.common import Json, Out, print_note, print_result


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
    """Writes a trained model in the layout of open_clip and the Hugging Face Hub, with a model card.

    Args:
        run: A run folder, whose best model is exported, or a model folder.
        out: The folder to write; export in the run's folder, or beside the model's, by default. It must be new, empty
            or an earlier export, which is replaced.
        onnx: Also write both towers as ONNX, verified against PyTorch.
        hub_id: The target repository, as org/name: needed if the vocabulary is not CLIP's own.
        license: For the card, a license identifier of the Hub such as mit.
        as_json: Print the folder and the ONNX differences as one JSON object.
    """
    from clipc.export.export import export_model, read_manifest
    from clipc.recipe.run import Run

    # An export inside a model's folder would look like a part of the model.
    parent = run.parent if (run / "open_clip_config.json").is_file() else run
    folder = export_model(run, out or parent / "export", onnx=onnx, hub_id=hub_id, license=license)
    if (run / "recipe.yaml").is_file() and Run(run).finished is None:
        print_note(f"the run {run} has not ended: this is its best model so far, and the card says so.")
    differences = read_manifest(folder)["onnx"]
    lines = [f"{folder}: open_clip.create_model_and_transforms('local-dir:{folder}') loads it."]
    lines += [f"onnx/{tower}.onnx differs from PyTorch by at most {worst:.1e}." for tower, worst in differences.items()]
    print_result({"folder": str(folder), "onnx": differences}, as_json, lines)
