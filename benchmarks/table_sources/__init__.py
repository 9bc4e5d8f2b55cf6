"""The tables of `benchmarks.tables`, one file per origin."""

from benchmarks.table_sources import (
    debian_packages,
    fortunes,
    icons,
    scikit_learn_sets,
    shipped,
    spoken_letters,
)

SOURCES = {
    source.name: source
    for module in (
        shipped,
        icons,
        fortunes,
        spoken_letters,
        debian_packages,
        scikit_learn_sets,
    )
    for source in module.SOURCES
}
