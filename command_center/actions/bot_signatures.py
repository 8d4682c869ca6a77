"""Lists the publicly known mail proxies and link scanners.

They are known by user agent or by network.

Each row has a source and the day on which it was checked. A row requires a source without doubt, because taking a
person's phone or webmail for a machine is worse than missing a machine. Therefore no row covers programs that also
fetch for people (Office's link probe, a missing user agent), or networks from which people browse.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import MappingProxyType

from models.enums import EngagementKind, EngagementVerdict

_CHECKED_ON = date(2026, 11, 24)
_WORDS_CHECKED_ON = date(2026, 12, 1)
_BOTS = "https://github.com/matomo-org/device-detector/blob/master/regexes/bots.yml"
_CRAWLERS = "https://github.com/monperrus/crawler-user-agents"
_WORDS = "https://github.com/omrilotan/isbot"
_ANY_KIND = frozenset((EngagementKind.VIEW, EngagementKind.CLICK))
_VIEWS = frozenset((EngagementKind.VIEW,))


class Match(Enum):
    """How a user agent is compared with a pattern. The comparison ignores case."""

    EQUALS = "is exactly"
    STARTS_WITH = "begins with"
    CONTAINS = "contains"
    REGEX = "has a part of the form"
    """The pattern is a regular expression in lower case, which may match anywhere."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A known program, identified by its user agent.

    `verdict` is HUMAN for a proxy that fetches images when a person opens the email.
    """

    name: str
    what: str
    pattern: str
    source: str
    match: Match = Match.CONTAINS
    kinds: frozenset[EngagementKind] = _ANY_KIND
    verdict: EngagementVerdict = EngagementVerdict.MACHINE
    checked_on: date = _CHECKED_ON

    def matches(self, user_agent: str) -> bool:
        """Return whether a user agent, in lower case, is this program's."""
        if self.match is Match.REGEX:
            return re.search(self.pattern, user_agent) is not None
        pattern = self.pattern.lower()
        if self.match is Match.EQUALS:
            return user_agent == pattern
        return user_agent.startswith(pattern) if self.match is Match.STARTS_WITH else pattern in user_agent


@dataclass(frozen=True, slots=True)
class Network:
    """Blocks of IP addresses that only the machines of one operator use."""

    name: str
    what: str
    ranges: tuple[str, ...]
    source: str
    checked_on: date = _CHECKED_ON


def _http_library(pattern: str, match: Match = Match.STARTS_WITH) -> Agent:
    what = "a library or a tool for HTTP, not a browser"
    return Agent(pattern.strip(" /("), what, pattern, _WORDS, match, checked_on=_WORDS_CHECKED_ON)


AGENTS: tuple[Agent, ...] = (
    # No real browser of this version has this ending. Views by people come through the proxy of the next row.
    Agent(
        "Gmail's fetch on arrival",
        "fetches what is in mail as it arrives",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135"
        " Safari/537.36 Edge/12.246 Mozilla/5.0",
        "https://www.gmass.co/blog/false-opens-in-gmail/",
        Match.EQUALS,
        checked_on=_WORDS_CHECKED_ON,
    ),
    Agent(
        "Gmail",
        "opened in Gmail, whose proxy fetches the images of what is read",
        "GoogleImageProxy",
        "https://support.google.com/a/answer/3299041",
        kinds=_VIEWS,
        verdict=EngagementVerdict.HUMAN,
    ),
    Agent(
        "Yahoo Mail",
        "opened in Yahoo Mail, whose proxy fetches the images of what is read",
        "YahooMailProxy",
        "https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        kinds=_VIEWS,
        verdict=EngagementVerdict.HUMAN,
    ),
    # The user agent is exactly this. The browsers of Apple's employees and of its relay's users send a longer one.
    Agent(
        "Apple Mail Privacy Protection",
        "fetches the images of all mail that arrives",
        "Mozilla/5.0",
        "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/"
        "understanding-apple-mail-privacy-protection-and-open-events",
        Match.EQUALS,
        _VIEWS,
    ),
    Agent("Barracuda", "scans mail for phishing", "Barracuda Sentinel", _BOTS),
    Agent("Barracuda Central", "scans mail for phishing", "BarracudaCentral", _CRAWLERS),
    Agent(
        "Google Safety",
        "looks for abuse behind links",
        "Google-Safety",
        "https://developers.google.com/search/docs/crawling-indexing/google-special-case-crawlers",
    ),
    Agent(
        "Googlebot",
        "a search engine's crawler",
        "compatible; Googlebot/",
        "https://developers.google.com/search/docs/crawling-indexing/google-common-crawlers",
    ),
    Agent(
        "Bingbot",
        "a search engine's crawler",
        "bingbot/",
        "https://www.bing.com/webmasters/help/which-crawlers-does-bing-use-8c184ec0",
    ),
    Agent(
        "Facebook",
        "previews links that are shared",
        "facebookexternalhit/",
        "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers/",
    ),
    Agent("Slack", "previews links that are shared", "Slackbot-LinkExpanding", "https://api.slack.com/robots"),
    # Only at the beginning: the browser inside WhatsApp has the name at the end, if at all.
    Agent("WhatsApp", "previews links that are shared", "WhatsApp/", _CRAWLERS, Match.STARTS_WITH),
    Agent("Telegram", "previews links that are shared", "TelegramBot", _BOTS),
    Agent("Twitter", "previews links that are shared", "Twitterbot/", _BOTS),
    Agent("LinkedIn", "previews links that are shared", "LinkedInBot/", _BOTS),
    Agent("Skype and Teams", "preview links that are shared", "SkypeUriPreview", _BOTS),
    Agent("Discord", "previews links that are shared", "Discordbot/", _BOTS),
    Agent(
        "Headless Chrome",
        "a browser that runs without a screen",
        "HeadlessChrome/",
        "https://developer.chrome.com/docs/chromium/headless",
    ),
    Agent("curl", "a program, not a browser", "curl/", "https://curl.se/docs/manpage.html", Match.STARTS_WITH),
    Agent("Wget", "a program, not a browser", "Wget/", "https://www.gnu.org/software/wget/manual/", Match.STARTS_WITH),
    Agent(
        "Python's urllib",
        "a program, not a browser",
        "Python-urllib/",
        "https://docs.python.org/3/library/urllib.request.html",
        Match.STARTS_WITH,
    ),
    Agent(
        "Requests",
        "a program, not a browser",
        "python-requests/",
        "https://github.com/psf/requests/blob/main/src/requests/utils.py",
        Match.STARTS_WITH,
    ),
    Agent(
        "Go",
        "a program, not a browser",
        "Go-http-client/",
        "https://github.com/golang/go/blob/master/src/net/http/request.go",
        Match.STARTS_WITH,
    ),
    # Java on a phone has the user agent Dalvik instead.
    Agent(
        "Java",
        "a program, not a browser",
        "Java/",
        "https://docs.oracle.com/javase/8/docs/technotes/guides/net/properties.html",
        Match.STARTS_WITH,
    ),
    # A person's click opens a browser, and most mail programs show images in one. So okhttp and Dart are machines too.
    *map(
        _http_library,
        (
            *("axios/", "node-fetch", "undici", "got (", "superagent", "node-superagent/", "Deno/", "Bun/"),
            *("libwww-perl", "lwp-", "LWP::", "HTTP-Tiny/", "WWW-Mechanize/", "Mechanize/", "http.rb/", "Faraday v"),
            *("rest-client/", "Typhoeus", "python-httpx/", "aiohttp/", "Python/", "Scrapy/", "GuzzleHttp/", "PHP/"),
            *("Symfony HttpClient", "Apache-HttpClient/", "Apache-HttpAsyncClient/", "Jakarta Commons-HttpClient/"),
            *("Java-http-client/", "ReactorNetty/", "AHC/", "Jersey/", "RestSharp/", "Go http package", "go-resty/"),
            *(
                "fasthttp",
                "reqwest/",
                "ureq/",
                "hyper/",
                "HTTPie/",
                "PostmanRuntime/",
                "insomnia/",
                "aria2/",
                "check_http/",
            ),
            *("okhttp", "Dart/", "Ruby/", "request/", "requests/", "urllib3/", "Python-", "libcurl", "pycurl", "curl-"),
            *("Zend_Http_Client", "HTTP_Request", "Guzzle/", "Feign/", "RestTemplate", "Spring", "unirest", "hackney/"),
            *("Mint/", "Tesla", "WinHttp", "Microsoft URL Control", "MSXML", "XMLHTTP", "HttpClient", "httpunit/"),
            *("Apache-", "AsyncHttpClient", "Vert.x-WebClient", "Netty", "ktor", "cpp-httplib", "POCO ", "libsoup"),
            *("Indy Library", "Mozilla/3.0 (compatible; Indy Library)", "WordPress/", "Drupal", "HTTrack"),
            *("ApacheBench/", "k6/", "siege/", "colly", "Nutch/", "heritrix/", "Embedly/", "Datadog/", "StatusCake"),
            *("Site24x7", "GoogleOther", "Mediapartners-Google", "Google-Read-Aloud", "facebookcatalog/", "proximic"),
            *("ELinks/", "Expanse", "masscan/", "Nmap ", "ZmEu", "Xenu ", "YandexImageResizer"),
        ),
    ),
    _http_library("node", Match.EQUALS),
    _http_library("Ruby", Match.EQUALS),
    Agent(
        "by its own name",
        "calls itself a bot, a crawler or a scanner",
        # Cubot is a maker of phones, and Talbots is a shop with an app.
        r"(?<!cu)(?<!tal)bots?(?![a-z])"
        r"|(?:crawl(?:er|ing)?|spider|scanner|scraper|archiver|slurp|validator|fetcher)s?(?![a-z])"
        r"|(?:link[ -]?check(?:er)?|checklink)s?(?![a-z])"
        r"|(?:link|url|site|image|bing|page) ?preview|url ?defense"
        r"|(?:url|link|web|ssl|security) ?scan(?:ning)?(?![a-z])"
        r"|nmap scripting|zgrab|censys|urlscan|netcraft|paloaltonetworks|xenu link|heritrix|nutch-|embedly/"
        r"|vkshare|google-(?:inspectiontool|site-verification|other)|monitoring(?![a-z])|https?[_-]client"
        r"|headless|phantomjs|puppeteer|playwright|lighthouse",
        _WORDS,
        Match.REGEX,
        checked_on=_WORDS_CHECKED_ON,
    ),
    Agent(
        "by its own address",
        "names a page about itself, as crawlers do",
        r"\+https?://",
        _WORDS,
        Match.REGEX,
        checked_on=_WORDS_CHECKED_ON,
    ),
)
"""The known programs; the first match decides."""

NETWORKS = (
    # Outlook on the web and its users have adjacent networks: 40.96.0.0/13, 52.96.0.0/14 and others.
    Network(
        "Exchange Online Protection",
        "Microsoft's mail filter, which opens the links it delivers",
        ("40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17", "2a01:111:f400::/48", "2a01:111:f403::/48"),
        "https://learn.microsoft.com/en-us/microsoft-365/enterprise/urls-and-ip-address-ranges",
    ),
    Network(
        "Barracuda Email Gateway Defense",
        "a mail filter, which opens the links it delivers",
        ("64.235.144.0/20", "209.222.80.0/21"),
        "https://campus.barracuda.com/product/emailgatewaydefense/doc/96023004/ip-analysis-inbound/",
    ),
)

_PARSED_NETWORKS = tuple((ip_network(text), network) for network in NETWORKS for text in network.ranges)
_BY_KIND: Mapping[EngagementKind, tuple[Agent, ...]] = MappingProxyType(
    {kind: tuple(agent for agent in AGENTS if kind in agent.kinds) for kind in EngagementKind}
)


@lru_cache(maxsize=4096)
def find_agent(kind: EngagementKind, user_agent: str) -> Agent | None:
    """Return the known program that a user agent identifies, or None.

    Only programs that cause events of this kind are considered.
    """
    text = user_agent.strip().lower()
    return next((agent for agent in _BY_KIND[kind] if agent.matches(text)), None)


@lru_cache(maxsize=4096)
def find_network(address: str) -> Network | None:
    """Return the known network of an IP address, or None.

    A text that is no IP address has none.
    """
    parsed = _parse_address(address)
    if parsed is None:
        return None
    return next((network for block, network in _PARSED_NETWORKS if parsed in block), None)


@lru_cache(maxsize=4096)
def address_block(address: str) -> str | None:
    """Return the /24 block of an IPv4 address or the /64 subnet of an IPv6 address.

    The machines of one scanner have different addresses in the same block. Returns None for a text that is no IP
    address.
    """
    parsed = _parse_address(address)
    if parsed is None:
        return None
    return str(ip_network((parsed, 24 if parsed.version == 4 else 64), strict=False))


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text.strip())
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
