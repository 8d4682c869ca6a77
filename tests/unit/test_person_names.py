"""First and last names: certain ones are split, and doubtful ones stay whole."""

import random

import pytest

from command_center.actions.person_names import CREDENTIALS, TITLES, split_name
from tests.support.generated_texts import line

CERTAIN = (
    *("Anna Schmidt", "Schmidt, Anna", "SCHMIDT Anna", "Anna SCHMIDT", "  Anna \t Schmidt  "),
    *(
        "Anna Schmidt, M.Sc.",
        "Anna Schmidt, CPA",
        "Anna Schmidt, PMP",
        "Anna Schmidt, MBA, CFA",
        "Anna Schmidt PMP",
    ),
    *(
        "Anna Schmidt, SHRM-CP",
        "Anna Schmidt, LL.M.",
        "Anna Schmidt, Ph. D.",
        "Anna Schmidt, PhD",
        "Anna Schmidt, M. Sc.",
        "Anna Schmidt M. Sc.",
        "PhD Anna Schmidt",
        "Anna Schmidt M.Sc.",
    ),
    *(
        "Anna Schmidt, P.E.",
        "Anna Schmidt, B.A. (Hons)",
        "Anna Schmidt,MBA",
        "Anna Schmidt, mba",
        "Anna Schmidt, QXZ",
    ),
    *("Anna Schmidt, Dipl.-Psych.", "Anna Schmidt, Dipl. Betriebswirtin (FH)", "Anna Schmidt, Master of Science"),
    *(
        "Anna Schmidt, PMP®, CSM®",
        "Anna Schmidt, PMP, CSM, ITIL v3",
        "Anna Schmidt-Müller, StB, WP",
        "Schmidt, Anna, M.Sc.",
    ),
    *(
        "Dr. med. Anna Schmidt",
        "Dr.med. Anna Schmidt",
        "Dr.Anna Schmidt",
        "Dr phil Anna Schmidt",
        "Dr. rer. nat. Anna Schmidt",
    ),
    *(
        "Rechtsanwältin Anna Schmidt",
        "DI Anna Schmidt",
        "Dr.med.Anna Schmidt",
        "'Anna Schmidt'",
        '"Schmidt, Anna"',
        "Dipl.-Ing. Anna Schmidt",
        "Dipl. Ing. Anna Schmidt",
        "Dipl.-Kfm. (FH) Anna Schmidt",
        "Prof. Dr.-Ing. Anna Schmidt",
    ),
    *(
        "Prof. Dr. Dr. h.c. mult. Anna Schmidt",
        "Prof. (FH) Dipl.-Ing. Dr. techn. Anna Schmidt",
        "Univ.-Prof. Dr. Anna Schmidt",
    ),
    *(
        "Frau Dr. Anna Schmidt",
        "MMag. Dr. Anna Huber",
        "Mag. (FH) Anna Huber",
        "Doktor Anna Schmidt",
        "Schmidt, Dr. Anna",
    ),
    *(
        "Mme Anna Petit",
        "Maître Anna Petit",
        "Sra. Anna García",
        "Doña Anna García",
        "Sig.ra Anna Rossi",
        "Dott.ssa Anna Rossi",
    ),
    *(
        "Mevrouw Anna de Vries",
        "Drs. Anna de Vries",
        "ir. Anna de Vries",
        "Ing. Anna Nováková",
        "Rt. Hon. Anna Smith",
    ),
    *(
        "Anna Schmidt | CEO",
        "Anna Schmidt - PMP",
        "Anna Schmidt – Acme",
        "Anna Schmidt / Acme",
        "Anna Schmidt (she/her)",
    ),
    *(
        "Anna Schmidt, she/her",
        'Anna "Annie" Schmidt',
        "Anna (Annie) Schmidt",
        "🐕 Anna Schmidt",
        "Anna 🌟 Schmidt",
    ),
    *(
        "Anna Schmidt III",
        "Anna Schmidt, Esq.",
        "Anna V. Schmidt",
        "Dr Anna Schmidt MD",
        "de la Cruz, Anna",
        "von Trapp, Anna Maria",
    ),
)
SPLIT = {
    "Dora": ("Dora", ""),
    "Dora Dean": ("Dora", "Dean"),
    "Anna Maria von Trapp": ("Anna", "Maria von Trapp"),
    "Müller, Jörg": ("Jörg", "Müller"),
    "Müller, Dr. Jörg": ("Jörg", "Müller"),
    "von Trapp, Anna Maria": ("Anna", "von Trapp"),
    "John Smith, Jr., Ph.D.": ("John", "Smith"),
    "Smith Jr., John": ("John", "Smith"),
    "ANNA SCHMIDT MBA": ("ANNA", "SCHMIDT"),
    "Ludwig van Beethoven III": ("Ludwig", "van Beethoven"),
    "D'Angelo Russell": ("D'Angelo", "Russell"),
    "LeBron James": ("LeBron", "James"),
    "O’Neil, Shaun": ("Shaun", "O’Neil"),
    "McKenzie MacDonald": ("McKenzie", "MacDonald"),
    "Phil Collins": ("Phil", "Collins"),
    "Nat King": ("Nat", "King"),
    "Ma Long": ("Ma", "Long"),
    "Do Nguyen": ("Do", "Nguyen"),
    "Don Quijote": ("Don", "Quijote"),
    "Jean-Luc Picard": ("Jean-Luc", "Picard"),
    "Lê Thị Hồng": ("Lê", "Thị Hồng"),
    "Abdul Rahman Khan": ("Abdul Rahman", "Khan"),
    "محمد علي": ("محمد", "علي"),
    "عبد الله محمد": ("عبد الله", "محمد"),
    "Алексей Иванов": ("Алексей", "Иванов"),
    "עמית כהן": ("עמית", "כהן"),
    ", Dora": ("Dora", ""),
    "Miss": ("Miss", ""),
    "Tester2 Doe": ("Tester2", "Doe"),
}
NO_FIRST_NAME = {
    "Mr & Mrs Smith": "Smith",
    "Mr. and Mrs. Smith": "Smith",
    "Mr. & Mrs. de la Cruz": "de la Cruz",
    "Dr. & Mrs. Smith": "Smith",
    "Herr und Frau Müller": "Müller",
    "M. et Mme Dupont": "Dupont",
    "Sr. y Sra. García": "García",
    "Familie Müller": "Müller",
    "Eheleute Müller": "Müller",
    "Mr&Mrs Smith": "Smith",
    "Prof. Dr. Müller": "Müller",
    "Senator Smith": "Smith",
    "г-н Иванов": "Иванов",
    "Lord Byron": "Byron",
    "pat@people.example": "",
    ",": "",
    "": "",
    "123": "",
}
WHOLE = (
    *(
        "John & Mary Smith",
        "Hans und Petra Müller",
        "Jean et Marie Dupont",
        "Mr. John and Mrs. Mary Smith",
        "John & Mary",
    ),
    *("J. R. Smith", "J.R. Smith", "J Smith", "R. Anna Schmidt", "M. Pierre Dupont", "T.J. Miller"),
    *(
        "王伟",
        "山田 太郎",
        "김철수",
        "von Trapp",
        "Abdul Rahman",
        "The Smith Family",
        "Sales Team",
        "Acme GmbH",
        "Smith & Co",
    ),
    *(
        "García López, María",
        "Anna Schmidt, Acme",
        "Anna Schmidt, Vice President",
        "3M",
        "R2D2 Robot",
        "Anna/Bernd Schmidt",
        "Max u. Anna Müller",
        "Acme, Inc.",
        "Attn: Anna Schmidt",
        "Schmidt, Jr., Anna",
    ),
)


@pytest.mark.parametrize("name", CERTAIN)
def test_the_first_name_among_titles_and_degrees_is_found(name: str) -> None:
    assert split_name(name)[0] == "Anna"


@pytest.mark.parametrize("name, parts", SPLIT.items())
def test_a_certain_name_has_two_parts(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize("name, last", NO_FIRST_NAME.items())
def test_titles_alone_are_beside_no_first_name(name: str, last: str) -> None:
    assert split_name(name) == ("", last)


@pytest.mark.parametrize("name", WHOLE)
def test_a_doubtful_name_stays_whole(name: str) -> None:
    assert split_name(name)[0] == name


def test_every_known_title_and_degree_is_left_out() -> None:
    for title in TITLES:
        for written in (title, title.title(), f"{title.title()}."):
            assert split_name(f"{written} Anna Schmidt")[0] == "Anna", written
    for credential in CREDENTIALS:
        for written in (credential, credential.upper(), f"{credential.upper()}."):
            assert split_name(f"Anna Schmidt, {written}")[0] == "Anna", written


def test_no_text_breaks_it() -> None:
    for number in range(500):
        first, last = split_name(line(random.Random(number), 200))
        assert (first, last) == (first.strip(), last.strip())
    for part in ("a ", "Dr. ", ", ", "(", "& a ", '"', "von ", "A.", "A.-", "- ", "“", "[", "A", "a, ", "Dr.A"):
        split_name(part * (200 // len(part)))
