"""Splits a person's name into first and last name. Pure.

The dynamic fields of an email contain them.

Only an unambiguous name is split; any other one is used whole. "Dear M.Sc." or "Dear &" would be worse than
"Dear Anna Schmidt, Acme".
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from unicodedata import category, normalize


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Forms of address and titles before a name, without full stops. Those that are also first names are left out: Don,
# Pan, Master. Sources: en.wikipedia.org/wiki/Title#Titles_for_heads_and_others, /wiki/English_honorifics,
# /wiki/French_honorifics, /wiki/German_honorifics, de.wikipedia.org/wiki/Akademischer_Grad (read on 2026-12-01).
TITLES = _words(
    "mr mrs ms mx miss misses sir madam dame lord lady dr doctor prof professor rev reverend hon honourable honorable"
    " capt captain cmdr col colonel lt lieutenant maj sgt sergeant rabbi imam sheikh cllr atty"
    " herr herrn frau fräulein hr fr dres doktor professorin univ-prof dipl dipl-ing dipl-kfm dipl-kffr ing mag mmag"
    " dkfm priv-doz pd ra rain stb oberarzt familie family eheleute"
    " monsieur madame mademoiselle mme mlle mm docteur maître me"
    " señor señora señorita sr sra srta doña dra lic arq senhor senhora"
    " signor signora signorina sig sigra dott dottssa dottore dottoressa avv avvocato"
    " rechtsanwalt rechtsanwältin steuerberater steuerberaterin notar notarin pfarrer pfarrerin pastor pastorin"
    " apotheker apothekerin bürgermeister bürgermeisterin oberbürgermeister kommerzialrat hofrat oberst freiherr"
    " freifrau geschäftsführer geschäftsführerin architekt architektin hausarzt facharzt zahnarzt zahnärztin"
    " father sister brother coach ambassador senator president governor congressman congresswoman chief chairman"
    " engr datuk dato datin г-н г-жа д-р проф श्री श्रीमती डॉ"
    " dhr heer meneer mevr mevrouw mw drs ir mgr bc judr mudr phdr rndr smt shri"
)
# Words that may follow a title in lower case: Dr. med., Dr. rer. nat. h. c.
_AFTER_TITLE = _words(
    "med dent vet phil jur iur rer nat oec pol soc theol ing agr habil hc h c mult univ publ math de van"
)
# Degrees, certifications and suffixes after a name, without full stops. Sources:
# en.wikipedia.org/wiki/List_of_post-nominal_letters, /wiki/List_of_professional_designations_in_the_United_States,
# /wiki/British_degree_abbreviations, de.wikipedia.org/wiki/Akademischer_Grad (read on 2026-12-01).
CREDENTIALS = _words(
    "jr sr jnr snr ii iii iv v vi esq esquire phd dphil md do dds dmd dvm pharmd edd psyd jd llb llm lld dsc dba dr"
    " ba bsc bs bcom bba beng bed bfa btech bphil ma msc ms mcom mba emba meng med mfa mtech mphil mpa mpp mph mres msw"
    " mla mpharm mbbs mbchb frcp frcs rn np lpn bsn msn dnp aprn pa-c cpa cfa cma cia cisa cism cissp crisc cgeit frm"
    " cfp chfc clu ea acca aca fca cgma cima pmp pmi pmi-acp capm csm cspo psm pspo safe itil cbap pe peng ceng pg aia"
    " sphr phr shrm-cp shrm-scp gphr cipd fcipd mcipd leed cscp cpim cpsm six-sigma ccna ccnp ccie mcse aws lmft lcsw"
    " lpc obe mbe cbe kbe gbe qc kc mp frs mep jp dipl-ing dipl-kfm dipl-inf dipl-psych staatsexamen stb wp"
    " mag mgr ing bc csc drsc ret eur-ing"
)
_DEGREE_PHRASE = _words(
    "bachelor master doctor dipl diploma diplom magister certified chartered registered professional"
)
# Words that mark a company, a household or a shared mailbox instead of a person. Sources: ISO 20275 (entity legal
# forms) and RFC 2142 (mailbox names).
_NOT_A_PERSON = _words(
    "gmbh ag kg ohg ug se ev eg inc incorporated corp corporation co company ltd limited llc llp lp plc pty pte sa sas"
    " sarl sl srl spa bv nv oy oyj ab as asa aps sro doo kft zrt kk group holding holdings team department dept office"
    " the family info sales support marketing billing accounts admin service webmaster postmaster hostmaster abuse"
    " noc security news hr reception"
)
_CONJUNCTIONS = _words("& + and und et y e en og och i ja u u.")
# Titles only in exactly this spelling; otherwise they are names.
_CASE_SENSITIVE_TITLES = _words("DI DDr DDI KR StD StR OStR OStD RA RAin WP CA CPA")
_PARTICLES = _words(
    "von van vom zu zur zum de del della der den des di da do dos das du la ten ter af av bin ibn al el"
)
# The first word of a first name of two words: Abdul Rahman.
_TWO_WORD_FIRST_NAMES = _words("abd abdul abdel abdal abu umm عبد أبو ابو أم")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]")
_QUOTED = re.compile(r"[\"'“”„‘’]([^\"“”„]*[^\"'“”„‘’])[\"'“”„‘’]")
_TITLE_WITHOUT_SPACE = re.compile(r"\b[^\W\d_]+\.(?=[^\W\d_a-z][^\W\d_])")
_STRIPPED_CHARACTERS = ";:!\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_TRAILING_REMARK = re.compile(r"\s(?:[|/•·–—~-]+|@)\s.*", re.DOTALL)
_INITIALS = re.compile(r"[^\W\d_a-z]\.?|(?:[^\W\d_a-z]\.-?)+[^\W\d_a-z]?\.?")
# Chinese characters, kana and hangul: the family name comes first, and the whole name is the polite form of address.
_FAMILY_FIRST = re.compile("[\u1100-\u11ff\u2e80-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


def split_name(name: str) -> tuple[str, str]:
    """Return the first and the last name.

    The first name is the whole name if it is uncertain. It is empty if there is only a title and a last name, as in
    Dr. Trapp or Mr & Mrs Smith, so that the default of a dynamic field is used.
    """
    whole = " ".join(name.split())
    if quoted := _QUOTED.fullmatch(whole):
        return split_name(quoted[1])
    text = _TRAILING_REMARK.sub("", _BRACKETS.sub(" ", normalize("NFC", whole)))
    text = text.replace("&", " & ")
    text = re.sub(r"^de heer\b", "heer", text, flags=re.IGNORECASE)
    if "@" in text:
        return "", ""
    segments = [words for part in text.split(",") if (words := _name_words(part))]
    if re.match(r"\S*[^\W\d_]:\s", text) or any(_folded(words[0]) in _NOT_A_PERSON for words in segments[1:]):
        # For example `Attn: Anna Schmidt` or `Acme, Inc.`
        return whole, ""
    while len(segments) > 1 and _are_credentials(segments[-1], segments[0]):
        segments.pop()
    if len(segments) > 1 and _are_credentials(segments[1], segments[0]):
        if len(segments[0]) == 1:
            # For example `Schmidt, Jr., Anna`.
            return whole, ""
        # Text after a degree is not part of the name either.
        del segments[1:]
    if not segments:
        return "", ""
    if len(segments) == 1:
        return _split_in_order(segments[0], whole)
    return _split_last_name_first(segments, whole)


def _name_words(part: str) -> list[str]:
    """Return the words of a part of a name: those with a letter, and conjunctions.

    `Dr.Anna` has two words.
    """
    spaced = _TITLE_WITHOUT_SPACE.sub(
        lambda match: f"{match[0]} " if _folded(match[0]) in TITLES | _AFTER_TITLE else match[0], part
    )
    words = (word.strip(_STRIPPED_CHARACTERS) for word in spaced.split())
    return [word for word in words if word in _CONJUNCTIONS or any(category(each)[0] == "L" for each in word)]


def _split_in_order(words: Sequence[str], whole: str) -> tuple[str, str]:
    """Return the first and the last name from a name that begins with the first name.

    `words` are the words of `whole`. If the name is uncertain, the first name is `whole`.
    """
    titled, core = _without_titles(words)
    if len(core) > 3 and "." in core[-1] and _folded(core[-2] + core[-1]) in CREDENTIALS:
        # For example `M. Sc.` without a comma before it.
        core = core[:-2]
    while len(core) > 1 and (_is_credential(core[-1], core[0]) or _ends_with_degree_in_capitals(core)):
        core = core[:-1]
    if any(each in _CONJUNCTIONS for each in words[1:]):
        return _split_couple(words, whole)
    if len(core) < 2:
        return ("", core[0]) if titled and core else (core[0] if core and len(words) == 1 else whole, "")
    capitals = list(takewhile(_is_in_capitals, core))
    if 0 < len(capitals) < len(core) and not any(map(_is_in_capitals, core[len(capitals) :])) and len(core[0]) > 2:
        core = [*core[len(capitals) :], *capitals]
    return _split_words(core, whole)


def _split_last_name_first(segments: Sequence[Sequence[str]], whole: str) -> tuple[str, str]:
    """Return the first and the last name from a name such as `Trapp, Anna Maria`.

    `segments` holds the words between the commas of `whole`. A name with two words before the comma is not split: it
    may be a whole name followed by a company. The first name is then `whole`, and the last name empty.
    """
    last, first = _without_titles(segments[0])[1], _without_titles(segments[1])[1]
    while len(first) > 1 and _is_credential(first[-1], first[0]):
        first = first[:-1]
    while len(last) > 1 and _folded(last[-1]) in CREDENTIALS:
        last = last[:-1]
    family = [each for each in last if each not in _PARTICLES]
    if len(segments) > 2 or len(family) != 1 or not first or any(each in _CONJUNCTIONS for each in first):
        return whole, ""
    first_name, _ = _split_words([*first, *last], " ".join([*segments[1], *last]))
    return first_name, " ".join(last)


def _split_words(core: Sequence[str], whole: str) -> tuple[str, str]:
    """Return the first word as the first name, and the others as the last name.

    `core` holds the words without titles and degrees. If something about the name is doubtful, the first name is
    `whole`.
    """
    first, rest = core[0], list(core[1:])
    if _folded(first) in _TWO_WORD_FIRST_NAMES:
        if len(rest) < 2:
            return whole, ""
        first, rest = f"{first} {rest[0]}", rest[1:]
    if _INITIALS.fullmatch(first):
        surname = [each for each in rest if not _INITIALS.fullmatch(each)]
        return whole, " ".join(surname)
    doubtful = (
        first in _PARTICLES
        or not all(category(each)[0] in "LM" or each in " -'’ʼʻ‘‐‑\u200c\u200d" for each in first.rstrip("0123456789"))
        or any(_folded(each) in _NOT_A_PERSON for each in (core[0], core[-1]))
        or _FAMILY_FIRST.search("".join(core)) is not None
    )
    return (whole, "") if doubtful else (first, " ".join(rest))


def _split_couple(words: Sequence[str], whole: str) -> tuple[str, str]:
    """Return the first and the last name of a couple.

    If there are titles and one last name, the first name is empty. Otherwise it is `whole`, and the last name is empty.
    """
    core = [each for each in words if each not in _CONJUNCTIONS and not _is_title(each) and each != "M."]
    titled = len(core) < len([each for each in words if each not in _CONJUNCTIONS])
    family = [each for each in core if each not in _PARTICLES]
    return ("", " ".join(core)) if titled and len(family) == 1 else (whole, "")


def _without_titles(words: Sequence[str]) -> tuple[bool, list[str]]:
    """Return whether a name begins with titles, and its words without them."""
    count = 0
    while count < len(words) and (
        _is_title(words[count])
        or (words[count] in _CASE_SENSITIVE_TITLES and not words[-1].isupper())
        or (count > 0 and words[count].islower() and _folded(words[count]) in _AFTER_TITLE)
    ):
        count += 1
    if count == len(words) == 1:
        return False, list(words)
    return count > 0, list(words[count:])


def _is_title(word: str) -> bool:
    """Return whether a word is a title.

    It may be a known title, a degree in capitals, or an abbreviation such as Dipl.-Kfm.

    An initial is not a title.
    """
    if _INITIALS.fullmatch(word):
        return False
    degree = _folded(word) in CREDENTIALS and len(word) > 2 and sum(map(str.isupper, word)) > 1
    return degree or "." in word or _folded(word).rstrip("'’") in TITLES


def _are_credentials(words: Sequence[str], name: Sequence[str]) -> bool:
    """Return whether the words after a comma are credentials, not a name.

    Degrees are credentials.
    """
    if _folded(words[0]) in _DEGREE_PHRASE or (len(name) > 1 and _folded("".join(words)) in CREDENTIALS):
        return True
    return all(
        _folded(word) in CREDENTIALS
        or "/" in word
        or _is_credential(word, name[0], abbreviated=True)
        or (index > 0 and _INITIALS.fullmatch(word))
        for index, word in enumerate(words)
    )


def _is_credential(word: str, name: str, abbreviated: bool = False) -> bool:
    """Return whether a word after a name is a degree or a suffix.

    `abbreviated` includes unknown abbreviations.
    """
    if "." in word:
        return not _INITIALS.fullmatch(word) or _folded(word) in CREDENTIALS - {"v"}
    capitals = sum(each.isupper() for each in word)
    if capitals > 1 and not _is_in_capitals(name):
        inner = re.match(r"(?:Mc|Mac|[DdO]['’]|De|Di|Le|La|Van|Von|St)[A-Z]", word) is None and "-" not in word
        return _folded(word) in CREDENTIALS or (abbreviated and (word.isupper() or inner))
    return _folded(word) in CREDENTIALS and (
        word.islower() or _folded(word) in ("jr", "sr", "jnr", "snr", "esq", "phd")
    )


def _ends_with_degree_in_capitals(words: Sequence[str]) -> bool:
    """Return whether a name in capitals ends with a degree after two other words.

    ANNA SCHMIDT MBA does, but not ANNA MA.
    """
    return len(words) > 2 and _folded(words[-1]) in CREDENTIALS and all(map(_is_in_capitals, words))


def _is_in_capitals(word: str) -> bool:
    """Return whether a word is in capitals and longer than initials."""
    return word.isupper() and not re.search(r"\d|\.", word) and sum(category(each)[0] == "L" for each in word) > 1


def _folded(word: str) -> str:
    """Return a word without full stops and in lower case.

    The sets of titles and degrees in this module contain words in this form.
    """
    return word.replace(".", "").casefold()
