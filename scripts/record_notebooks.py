"""Run the notebooks and store their outputs, with which the tests compare."""

# They run on the stand-in. One that records its exchanges uses the real Ollama at OLLAMA_TEST_URL (see CONTRIBUTING.md), and
# without one its recording: then it shows old answers in the new form.

import os
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def record(path: Path) -> None:
    """Run one notebook and store it with its outputs, without anything that differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)  # without its state it would show as an error
    notebook.metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(notebook, path)


def main() -> int:
    """Record all notebooks, or those that are named."""
    os.environ["OLLAMA_MAGICS_STREAM"] = "off"
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ollama-magics-notebooks-")
    if url := os.environ.get("OLLAMA_TEST_URL"):
        os.environ["OLLAMA_HOST"] = url
    else:
        os.environ["OLLAMA_MAGICS_REPLAY"] = "1"
    os.environ["OLLAMA_MAGICS_CONFIG"] = str(NOTEBOOKS / "no profiles")
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name)
        record(path.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
