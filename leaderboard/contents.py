"""The pages of the board: which there are, in which order, and what each of them is for."""

from typing import NamedTuple

NAME = "Fuseboard"
SAYS = (
    "Fuseboard re-runs published ways to fuse sound, picture and words, each by the same rules on the same data, "
    "and says which of them the results can tell apart."
)


class Page(NamedTuple):
    """One page.

    Args:
        file: in ``pages``, and its address.
        icon: name of a Material symbol.
        says: what it is for.
    """

    file: str
    title: str
    icon: str
    says: str


PAGES = (  # the first is the home page
    Page("ranking", "Ranking", "leaderboard", "Which methods lead, and which of them the runs can tell apart."),
    Page("compare", "Compare", "compare_arrows", "Two to four methods side by side: what tells them apart, and where."),
    Page("method", "Method", "hub", "What one method is, how far it follows its paper, and what was measured of it."),
    Page("robustness", "Robustness", "shield", "How far scores fall when the input is not what it was in training."),
    Page("contribution", "Contribution", "donut_small", "What a method owes to sound, picture, words, and the whole."),
    Page("attention", "Attention", "visibility", "Where methods look, whether that is stable, and what it explains."),
    Page("cost", "Cost", "speed", "What a score costs in parameters, operations, time, memory and energy."),
    Page("protocol", "Protocol", "rule", "What is compared: data, parts, conditions, and who opened the test part."),
    Page("paper", "Paper", "article", "Published tables as printed, and what our runs say to each number."),
    Page("review", "Review", "menu_book", "The review behind the zoo: its map, its tables recomputed, its slips."),
    Page("download", "Download", "download", "Every result as a file, with what its columns mean."),
    Page("submit", "Submit", "upload", "A method of your own: written as data, checked while you type, handed in."),
    Page("submissions", "Submissions", "list_alt", "Every submission, and all that happened to it."),
)
