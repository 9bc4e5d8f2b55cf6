"""The notebooks run from top to bottom with small settings, and their variables are checked."""

import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = {"EPOCHS": 1, "ROWS": 100}
# settings of single notebooks
OWN = {
    "02_towers": {"CLIPS": 24, "TOWERS": ["vit"]},
    "03_fusion_and_fine_tuning": {
        "FUSIONS": {
            "attention": {"type": "attention"},
            "hybrid": {"type": "hybrid", "over": {"type": "gated"}},
        }
    },
    "04_search_and_scale": {"TRIALS": 2, "FOLDS": 2, "INPUTS": ["image", "text"]},
    "05_model_report": {"ROWS": 150, "CORRUPTED": 5, "RESAMPLES": 20},
}
# what a notebook runs before its first cell, where the package has no setting that a user needs
BEFORE = {
    # two rows are explained instead of nine
    "05_model_report": "from multimodal_tf.evaluation.explanations import of_split\n"
    "of_split.WORST = of_split.RIGHT = 1",
}
# conditions on a notebook's variables at its end
HOLDS = {
    "01_quickstart": [
        "manifest.kept == ROWS",
        "np.isfinite(history.history['val_loss']).all()",
        "evaluation.rows == manifest.rows('test') >= evaluation.heads[head].n > 0",
        "served['valid'].all() and set(served[head]) <= set(names)",
    ],
    "02_towers": [
        "list(encodings) == [*config.inputs] and all(encoding['mask'].numpy().any() for "
        "encoding in encodings.values())",
        "np.isfinite(decibels).all() and decibels.std() > 0",
        "patches.shape[1:3] == (4, 4)",
        "[*pieces] == ['word_piece', 'byte_pair', 'sentence_piece'] and all(lines[0] for "
        "lines in pieces.values())",
        "0 < trained < model.count_params() and learned.inputs[words].preset == str(preset)",
    ],
    "03_fusion_and_fine_tuning": [
        "weighing == ['attention', 'hybrid'] and len(chosen) > 1",
        "all(taken[one, 'all inputs'][name] > 0 == taken[one, f'without {name}'][name] for "
        "one in weighing for name in config.inputs)",
        "np.allclose(served['weights'], explained[fusion]['weights'].numpy()[chosen], atol=1e-4)",
        "np.allclose(np.mean([*alone.values(), explained['hybrid'][f'{head}_from_fused']], "
        "axis=0)[whole], predictions['together'][whole], atol=1e-5)",
        "list(evaluation.heads) == [head, 'kind', 'match'] and all(one.n for one in "
        "evaluation.heads.values())",
        "history.history['val_loss'] and max(apart.values()) < 1e-4",
        "np.allclose(np.stack(served_rows[f'{head}_probabilities']), expected[chosen], atol=1e-3)",
        "{name for name, one in peft.trainable_summary(run.model).components.items() if "
        "one.trainable} == {'kind'}",
        "all(map(np.array_equal, *(one.model.get_layer('fused_scores_hidden').get_weights() "
        "for one in (saved, run))))",
    ],
    "04_search_and_scale": [
        "len(found.table) == TRIALS and found.score == found.table['objective'].max()",
        "len(tuner.oracle.trials) == 2 and 'fusion' in tuner.get_best_hyperparameters()[0].values",
        "[len(values) for values in accuracies.values()] == [FOLDS, FOLDS]",
        "(trained.record.strategy, trained.record.replicas) == ('mirrored', 2)",
    ],
    "05_model_report": [
        "(OUT / 'report' / 'index.html').is_file() and 1 <= len(report.page.summary) <= 5",
        "len(report.page.tiles) > 2",
        "[*report.contributions.share] == [*config.inputs] == [*report.robustness.scores][:3]",
        "len(tables['exchanged-inputs-by-score']) >= 3",
        "np.isfinite(served['ood_score']).all() and served['review'].dtype == bool",
    ],
    "06_alignment_and_teachers": [
        "manifest.rows('train') == (rows['split'] == 'train').sum()",
        "rows['few'].notna().sum() < rows['label'].notna().sum() == ROWS",
        "space.record.best_epoch == 1 and 'val_space_mean_average_precision' in space.metrics",
        "len(found) == 10 and all(0 <= value for value in found.values())",
        "len(hits) == 6 * len(queries) and rows.loc[hits['row'], photo].notna().all()",
        "set(classes['space_class']) <= set(names) and 0 <= by_names['accuracy'] <= 1",
        "len(accuracies) == 3",
        "all(one['low'] <= one['accuracy'] <= one['high'] for one in accuracies.values())",
        "weights[0] > 2 * weights[1] > 0",
    ],
}


def prepared(path, folder):
    """The notebook with small settings in its `parameters` cell, between two cells of the test."""
    notebook = nbformat.read(path, as_version=4)
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    settings = SMALL | OWN.get(path.stem, {})
    for name, value in {
        "OUT": f"pathlib.{folder!r}",
        **{name: repr(value) for name, value in settings.items()},
    }.items():
        cell.source, found = re.subn(
            rf"^{name} = .*$",
            lambda _, line=f"{name} = {value}": line,
            cell.source,
            flags=re.MULTILINE,
        )
        assert found == 1, f"the parameters cell does not set {name}"
    before, after = BEFORE.get(path.stem, ""), [f"assert {one}" for one in HOLDS.get(path.stem, [])]
    notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
    notebook.cells.append(nbformat.v4.new_code_cell("\n".join(after)))
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path, tmp_path, request):
    notebook = prepared(path, tmp_path)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    out = request.config.getoption("--save-notebooks")
    if out is not None:
        # what the test added is not saved
        notebook.cells = notebook.cells[1:-1]
        pathlib.Path(out).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, pathlib.Path(out, path.name))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_defines_nothing(path):
    sources = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    assert [
        source for source in sources if re.search(r"^\s*(def|class) ", source, flags=re.MULTILINE)
    ] == []
