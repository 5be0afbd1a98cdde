"""What a person who takes results away has to know: licence, how to cite. ``CITATION.cff`` says the same."""

LICENCE = "Results: CC BY 4.0. Data sets keep their own licences; no recording of theirs is in here."
LICENCE_NAME, LICENCE_URL = "CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"
CITATION = "Fuseboard, a living, executable systematic review of attention-based audio-visual fusion."
YEAR = 2026
BIBTEX = f"""@software{{fuseboard,
  title = {{Fuseboard: a living, executable systematic review of attention-based audio-visual fusion}},
  author = {{{{The Fuseboard contributors}}}},
  year = {{{YEAR}}},
  version = {{0.1.0}},
  license = {{MIT}}
}}
"""
