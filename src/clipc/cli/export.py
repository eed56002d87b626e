"""``clipc export``."""

from pathlib import Path

from clipc.cli.common import Json, OutFolder, print_note, print_result


def export(
    run: Path,
    /,
    *,
    out: OutFolder = None,
    onnx: bool = False,
    hub_id: str | None = None,
    license: str = "unknown",
    as_json: Json = False,
) -> None:
    """Writes a trained model in the layout of open_clip and the Hugging Face Hub, with a model card.

    Args:
        run: A run folder, whose result is exported, or a model folder.
        out: The folder to write. Default: RUN/export, or `export` next to a model folder. It must be new, empty or an
            earlier export, which is replaced.
        onnx: Also write both towers as ONNX, verified against PyTorch.
        hub_id: The target repository, as org/name. Needed if the vocabulary is not CLIP's own, to load its tokenizer
            from the Hub.
        license: A license identifier of the Hub for the model card, such as mit.
        as_json: Print one JSON object: the folder, and the largest difference between ONNX and PyTorch outputs.
    """
    from clipc.export.export import export_model, read_manifest
    from clipc.recipe.run import Run

    # An export inside a model's folder would look like a part of the model.
    parent = run.parent if (run / "open_clip_config.json").is_file() else run
    folder = export_model(run, out or parent / "export", onnx=onnx, hub_id=hub_id, license=license)
    if (run / "recipe.yaml").is_file() and Run(run).finished is None:
        print_note(f"the run {run} has not ended: its latest saved model is exported, and the model card says so.")
    differences = read_manifest(folder)["onnx"]
    lines = [f"{folder}: open_clip.create_model_and_transforms('local-dir:{folder}') loads it."]
    lines += [f"onnx/{tower}.onnx differs from PyTorch by at most {worst:.1e}." for tower, worst in differences.items()]
    print_result({"folder": str(folder), "onnx": differences}, as_json, lines)
