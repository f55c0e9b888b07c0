"""What a study is: roles, completeness, the order of the analysis, its results. Pure."""
