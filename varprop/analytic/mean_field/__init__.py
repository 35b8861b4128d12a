"""The limit of wide layers, where one activation and two variances decide: maps, criticality, gains, spectra."""
