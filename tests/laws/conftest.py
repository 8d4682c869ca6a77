"""A way to run the laws on mutants: the same examples each time, and no search for the smallest one that fails."""

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None)
