"""Splits a person's name into first and last name, and says what to write if the first name is not certain. Pure.

Only names that can be read in one way are split. "Dear M.Sc." or "Dear &" is worse than "Dear Anna Schmidt, Acme", so
everything else is used whole.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from unicodedata import category, normalize


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Forms of address and titles before a name, without their full stops. Those that are first names too are left out: Don,
# Pan, Master. Sources: en.wikipedia.org/wiki/Title#Titles_for_heads_and_others, /wiki/English_honorifics,
# /wiki/French_honorifics, /wiki/German_honorifics, de.wikipedia.org/wiki/Akademischer_Grad (looked at on 2026-12-01).
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
# What may follow a title in small letters: Dr. med., Dr. rer. nat. h. c.
_AFTER_TITLE = _words(
    "med dent vet phil jur iur rer nat oec pol soc theol ing agr habil hc h c mult univ publ math de van"
)
# Degrees, certifications and suffixes after a name, without their full stops. Sources:
# en.wikipedia.org/wiki/List_of_post-nominal_letters, /wiki/List_of_professional_designations_in_the_United_States,
# /wiki/British_degree_abbreviations, de.wikipedia.org/wiki/Akademischer_Grad (looked at on 2026-12-01).
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
# Words of companies, households and mailboxes that stand in for people. Sources: ISO 20275 (entity legal forms) and
# RFC 2142 (mailbox names).
_NOT_A_PERSON = _words(
    "gmbh ag kg ohg ug se ev eg inc incorporated corp corporation co company ltd limited llc llp lp plc pty pte sa sas"
    " sarl sl srl spa bv nv oy oyj ab as asa aps sro doo kft zrt kk group holding holdings team department dept office"
    " the family info sales support marketing billing accounts admin service webmaster postmaster hostmaster abuse"
    " noc security news hr reception"
)
_CONJUNCTIONS = _words("& + and und et y e en og och i ja u u.")
# Titles that are names when written otherwise.
_TITLES_AS_WRITTEN = _words("DI DDr DDI KR StD StR OStR OStD RA RAin WP CA CPA")
_PARTICLES = _words(
    "von van vom zu zur zum de del della der den des di da do dos das du la ten ter af av bin ibn al el"
)
# The first word of a first name of two: Abdul Rahman.
_BOUND = _words("abd abdul abdel abdal abu umm عبد أبو ابو أم")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]")
_QUOTED = re.compile(r"[\"'“”„‘’]([^\"“”„]*[^\"'“”„‘’])[\"'“”„‘’]")
_ABUTTED = re.compile(r"\b[^\W\d_]+\.(?=[^\W\d_a-z][^\W\d_])")
_AROUND_WORDS = ";:!\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_REMARK = re.compile(r"\s(?:[|/•·–—~-]+|@)\s.*", re.DOTALL)
_INITIALS = re.compile(r"[^\W\d_a-z]\.?|(?:[^\W\d_a-z]\.-?)+[^\W\d_a-z]?\.?")
# Chinese characters, kana and hangul: the family name comes first, and the whole name is the polite form.
_WHOLE_SCRIPTS = re.compile("[\u1100-\u11ff\u2e80-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


def split_name(name: str) -> tuple[str, str]:
    """Returns the first and the last name. The first is the whole name if it is not certain, or empty if there is none.

    There is none beside a title alone, as in Dr. Trapp or Mr & Mrs Smith, so that a field's default is used.
    """
    whole = " ".join(name.split())
    if quoted := _QUOTED.fullmatch(whole):
        return split_name(quoted[1])
    text = _REMARK.sub("", _BRACKETS.sub(" ", normalize("NFC", whole)))
    text = text.replace("&", " & ")
    text = re.sub(r"^de heer\b", "heer", text, flags=re.IGNORECASE)
    if "@" in text:
        return "", ""
    segments = [words for part in text.split(",") if (words := _spoken(part))]
    if re.match(r"\S*[^\W\d_]:\s", text) or any(_bare(words[0]) in _NOT_A_PERSON for words in segments[1:]):
        # Attn: Anna Schmidt; Acme, Inc.
        return whole, ""
    while len(segments) > 1 and _are_credentials(segments[-1], segments[0]):
        segments.pop()
    if len(segments) > 1 and _are_credentials(segments[1], segments[0]):
        if len(segments[0]) == 1:
            # Schmidt, Jr., Anna
            return whole, ""
        # What follows a degree is no name either.
        del segments[1:]
    if not segments:
        return "", ""
    if len(segments) == 1:
        return _in_order(segments[0], whole)
    return _last_name_first(segments, whole)


def _spoken(part: str) -> list[str]:
    """The words of a part of a name: those with a letter, and conjunctions. Dr.Anna is two words."""
    parted = _ABUTTED.sub(lambda match: f"{match[0]} " if _bare(match[0]) in TITLES | _AFTER_TITLE else match[0], part)
    words = (word.strip(_AROUND_WORDS) for word in parted.split())
    return [word for word in words if word in _CONJUNCTIONS or any(category(each)[0] == "L" for each in word)]


def _in_order(words: Sequence[str], whole: str) -> tuple[str, str]:
    """Splits a name whose first name comes first."""
    titled, core = _without_titles(words)
    if len(core) > 3 and "." in core[-1] and _bare(core[-2] + core[-1]) in CREDENTIALS:
        # M. Sc. without a comma before it.
        core = core[:-2]
    while len(core) > 1 and (_is_credential(core[-1], core[0]) or _is_third_degree(core)):
        core = core[:-1]
    if any(each in _CONJUNCTIONS for each in words[1:]):
        return _several(words, whole)
    if len(core) < 2:
        return ("", core[0]) if titled and core else (core[0] if core and len(words) == 1 else whole, "")
    capitals = list(takewhile(_is_shouted, core))
    if 0 < len(capitals) < len(core) and not any(map(_is_shouted, core[len(capitals) :])) and len(core[0]) > 2:
        core = [*core[len(capitals) :], *capitals]
    return _checked(core, whole)


def _last_name_first(segments: Sequence[Sequence[str]], whole: str) -> tuple[str, str]:
    """Splits `Trapp, Anna Maria`. Two words before the comma may be a whole name with a company after it."""
    last, first = _without_titles(segments[0])[1], _without_titles(segments[1])[1]
    while len(first) > 1 and _is_credential(first[-1], first[0]):
        first = first[:-1]
    while len(last) > 1 and _bare(last[-1]) in CREDENTIALS:
        last = last[:-1]
    family = [each for each in last if each not in _PARTICLES]
    if len(segments) > 2 or len(family) != 1 or not first or any(each in _CONJUNCTIONS for each in first):
        return whole, ""
    found, _ = _checked([*first, *last], " ".join([*segments[1], *last]))
    return found, " ".join(last)


def _checked(core: Sequence[str], whole: str) -> tuple[str, str]:
    """The first word as the first name if nothing about the name is doubtful."""
    first, rest = core[0], list(core[1:])
    if _bare(first) in _BOUND:
        if len(rest) < 2:
            return whole, ""
        first, rest = f"{first} {rest[0]}", rest[1:]
    if _INITIALS.fullmatch(first):
        surname = [each for each in rest if not _INITIALS.fullmatch(each)]
        return whole, " ".join(surname)
    doubtful = (
        first in _PARTICLES
        or not all(category(each)[0] in "LM" or each in " -'’ʼʻ‘‐‑\u200c\u200d" for each in first.rstrip("0123456789"))
        or any(_bare(each) in _NOT_A_PERSON for each in (core[0], core[-1]))
        or _WHOLE_SCRIPTS.search("".join(core)) is not None
    )
    return (whole, "") if doubtful else (first, " ".join(rest))


def _several(words: Sequence[str], whole: str) -> tuple[str, str]:
    """A couple: nobody's first name if all but one word are titles, otherwise the whole."""
    core = [each for each in words if each not in _CONJUNCTIONS and not _is_title(each) and each != "M."]
    titled = len(core) < len([each for each in words if each not in _CONJUNCTIONS])
    family = [each for each in core if each not in _PARTICLES]
    return ("", " ".join(core)) if titled and len(family) == 1 else (whole, "")


def _without_titles(words: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether there are titles before a name, and the name without them."""
    count = 0
    while count < len(words) and (
        _is_title(words[count])
        or (words[count] in _TITLES_AS_WRITTEN and not words[-1].isupper())
        or (count > 0 and words[count].islower() and _bare(words[count]) in _AFTER_TITLE)
    ):
        count += 1
    if count == len(words) == 1:
        return False, list(words)
    return count > 0, list(words[count:])


def _is_title(word: str) -> bool:
    """A known title, a degree in capitals, or an abbreviation that is no initial, such as Dipl.-Kfm. or Univ.-Prof."""
    if _INITIALS.fullmatch(word):
        return False
    degree = _bare(word) in CREDENTIALS and len(word) > 2 and sum(map(str.isupper, word)) > 1
    return degree or "." in word or _bare(word).rstrip("'’") in TITLES


def _are_credentials(words: Sequence[str], name: Sequence[str]) -> bool:
    """Whether what follows a comma says what somebody has or is, and not what they are called."""
    if _bare(words[0]) in _DEGREE_PHRASE or (len(name) > 1 and _bare("".join(words)) in CREDENTIALS):
        return True
    return all(
        _bare(word) in CREDENTIALS
        or "/" in word
        or _is_credential(word, name[0], abbreviated=True)
        or (index > 0 and _INITIALS.fullmatch(word))
        for index, word in enumerate(words)
    )


def _is_credential(word: str, name: str, abbreviated: bool = False) -> bool:
    """Whether a word after a name is a degree or a suffix. `abbreviated`: an unknown abbreviation is one too."""
    if "." in word:
        return not _INITIALS.fullmatch(word) or _bare(word) in CREDENTIALS - {"v"}
    capitals = sum(each.isupper() for each in word)
    if capitals > 1 and not _is_shouted(name):
        inner = re.match(r"(?:Mc|Mac|[DdO]['’]|De|Di|Le|La|Van|Von|St)[A-Z]", word) is None and "-" not in word
        return _bare(word) in CREDENTIALS or (abbreviated and (word.isupper() or inner))
    return _bare(word) in CREDENTIALS and (word.islower() or _bare(word) in ("jr", "sr", "jnr", "snr", "esq", "phd"))


def _is_third_degree(words: Sequence[str]) -> bool:
    """Whether a name all in capitals ends with a degree after two other words: ANNA SCHMIDT MBA, but not ANNA MA."""
    return len(words) > 2 and _bare(words[-1]) in CREDENTIALS and all(map(_is_shouted, words))


def _is_shouted(word: str) -> bool:
    """Whether a word is all in capitals and more than initials."""
    return word.isupper() and not re.search(r"\d|\.", word) and sum(category(each)[0] == "L" for each in word) > 1


def _bare(word: str) -> str:
    return word.replace(".", "").casefold()
