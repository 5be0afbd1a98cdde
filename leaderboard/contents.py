"""The pages of the board: which there are, in which order, and what each of them is for."""

from typing import NamedTuple

NAME = "Fuseboard"
SAYS = (
    "Fuseboard re-runs published ways to fuse sound, picture and words, each by the same rules on the same data, "
    "and says which of them the results can tell apart. Results of two protocols never mix; begin by choosing one."
)


class Page(NamedTuple):
    """One page.

    Args:
        file: in ``pages``, and its address.
        says: what it is for.
        charts: whether it draws any.
    """

    file: str
    title: str
    says: str
    charts: bool = False


PAGES = (  # the first is the home page
    Page("ranking", "Ranking", "Which methods lead, and which of them the runs can tell apart."),
    Page("compare", "Compare", "Two to four methods side by side: what tells them apart, and where.", charts=True),
    Page(
        "method",
        "Method",
        "What one method is, how far it follows its paper, and all its runs.",
        charts=True,
    ),
    Page("robustness", "Robustness", "How far scores fall when the input is not what it was in training.", charts=True),
    Page("contribution", "Contribution", "What a method owes to sound, picture, words, and the whole.", charts=True),
    Page("attention", "Attention", "Where methods look, whether that is stable, and what it explains.", charts=True),
    Page("cost", "Cost", "What a score costs in parameters, operations, time, memory and energy.", charts=True),
    Page("protocol", "Protocol", "What is compared: data, parts, conditions, and who opened the test part."),
    Page("paper", "Paper", "Published tables as printed, and what our runs say to each number."),
    Page("review", "Review", "The review behind the zoo: its map, its tables recomputed, its slips.", charts=True),
    Page("download", "Download", "Every result as a file, with what its columns mean."),
    Page("submit", "Submit", "A method of your own: written as data, checked while you type, handed in."),
    Page("submissions", "Submissions", "Every submission, and all that happened to it."),
)


def says(file: str) -> str:
    """What a page is for."""
    return next(page.says for page in PAGES if page.file == file)
