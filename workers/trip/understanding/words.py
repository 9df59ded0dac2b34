"""Numbers in words and in digits."""

NUMBERS = {
    word: number
    for number, words in enumerate(
        [
            "zero none",
            "one a an single",
            "two both couple pair",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve dozen",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
    for word in words.split()
}
NUMBERS.update({f"twenty-{word}": 20 + n for word, n in NUMBERS.items() if 0 < n < 10}, thirty=30)  # noqa: PLR2004
ANY_NUMBER = r"(?:[0-9]{1,3}|" + "|".join(sorted(map(str, NUMBERS), key=len, reverse=True)) + r")"


def number(word: str) -> int:
    """What a match of ANY_NUMBER says."""
    return int(word) if word.isdecimal() else NUMBERS[word]
