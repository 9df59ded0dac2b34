"""What people call places, and the airport or metropolitan code that is meant.

The list of airports knows no sizes: that Paris is the one in France stands here, for places that are far larger than
all others of their name. What is not here and lies in several states or countries (Springfield, Valencia) is asked.
"""

_CALLED = """
NYC: new york, new york city, nyc, big apple, manhattan, brooklyn, queens
EWR: newark
JFK: kennedy airport, john f kennedy
LGA: laguardia, la guardia
LHR: heathrow
LGW: gatwick
ORD: o'hare
MDW: midway airport
IAD: dulles
BER: berlin
CDG: charles de gaulle
LON: london
PAR: paris, city of light, city of lights
CHI: chicago, windy city, chi town, chitown
LAX: los angeles, la, city of angels, hollywood, santa monica
SFO: san francisco, sf, frisco, san fran, bay area
LAS: las vegas, vegas, sin city
DEN: denver, mile high city, boulder
DCA: washington, washington dc, dc
BOS: boston, beantown
MIA: miami, magic city, miami beach
SEA: seattle, emerald city
IAH: houston, space city
DFW: dallas, fort worth, dallas fort worth
ATL: atlanta
PHL: philadelphia, philly
PHX: phoenix, scottsdale
MCO: orlando, disney world, disneyworld
MSY: new orleans, nola, big easy
BNA: nashville, music city
AUS: austin
SAT: san antonio
HNL: honolulu, waikiki, oahu
OGG: maui
SLC: salt lake city
MSP: minneapolis, twin cities, minneapolis saint paul
DTW: detroit, motor city
CLT: charlotte
BWI: baltimore, charm city
PDX: portland
SAN: san diego
TPA: tampa, tampa bay
FLL: fort lauderdale
PIT: pittsburgh, steel city
CLE: cleveland
CVG: cincinnati
CMH: columbus
STL: st louis, saint louis
MCI: kansas city
IND: indianapolis
MKE: milwaukee
ABQ: albuquerque
ANC: anchorage
RDU: raleigh, durham, raleigh durham
BUF: buffalo, niagara falls
BTV: burlington
JAC: jackson hole
ASE: aspen
EGE: vail
SJU: san juan, puerto rico
YYZ: toronto
YUL: montreal
YVR: vancouver
YYC: calgary
MEX: mexico city, cdmx
CUN: cancun
FCO: rome, eternal city
MXP: milan
VCE: venice
FLR: florence
NAP: naples
MAD: madrid
BCN: barcelona
LIS: lisbon
OPO: porto
MUC: munich, munchen
FRA: frankfurt
HAM: hamburg
VIE: vienna
ZRH: zurich
GVA: geneva
AMS: amsterdam
BRU: brussels
CPH: copenhagen
ARN: stockholm
OSL: oslo
HEL: helsinki
KEF: reykjavik, iceland
DUB: dublin
EDI: edinburgh
MAN: manchester
ATH: athens
IST: istanbul
PRG: prague
BUD: budapest
WAW: warsaw
KRK: krakow, cracow
SPU: split
NCE: nice
HND: tokyo
KIX: osaka, kyoto
ICN: seoul
PEK: beijing
PVG: shanghai
HKG: hong kong
TPE: taipei
SIN: singapore
BKK: bangkok
KUL: kuala lumpur
DPS: bali
DEL: delhi, new delhi
BOM: mumbai, bombay
DXB: dubai
DOH: doha
CAI: cairo
CPT: cape town
JNB: johannesburg
NBO: nairobi
RAK: marrakesh, marrakech
SYD: sydney
MEL: melbourne
AKL: auckland
GIG: rio de janeiro, rio
GRU: sao paulo
EZE: buenos aires
LIM: lima
BOG: bogota
SCL: santiago de chile
ALB: albany
BFS: belfast
FOR: fortaleza
GLA: glasgow
GRR: grand rapids
HAV: havana
HBA: hobart
HSV: huntsville
HYD: hyderabad
JAX: jacksonville
JNU: juneau
KIN: kingston
LPB: la paz
MNL: manila
MVD: montevideo
ORF: norfolk
PER: perth
RUH: riyadh
SDF: louisville
YQR: regina
ZQN: queenstown
"""

KNOWN: dict[str, str] = {
    name.strip(): line.partition(":")[0] for line in _CALLED.split("\n") for name in line.partition(":")[2].split(",")
}
KNOWN.pop("", None)

OPEN = frozenset(
    {"springfield", "san jose", "birmingham", "jackson", "georgetown", "cambridge", "richmond", "santiago"}
    | {"portland", "bloomington", "leon", "odessa", "dover", "york"}
)
"""Shared by several places of one size, or by one that the list of airports does not have under this name: never chosen
without their state or country."""

_SAID = """
abs ada alert anderson art august aurora austin bar bath beach bears best bor boundary bradford central charlotte
circle colon coro darwin dc deal delta eagle enterprise flat flint florence friday gap golden goto grants green hit
hobby hope hotel hue independence jordan junction la lagrange liberal lock lodge magic male man march marks may mesa
mobile moderate newton nice nome omega orange page park perm phoenix pop pratt price queens reading rio ruby sale save
sf singleton split sunday superior sur sylvester taylor tok trail turbo una union vail van victoria wink wise young
"""
WORDS = frozenset(_SAID.split())
"""Words of the language or people's names as well: a place only behind "to", "from", "in" and the like."""

NO_CODES = frozenset(
    [
        "USD",
        "EUR",
        "GBP",
        "CHF",
        "CAD",
        "JPY",
        "AUD",
        "NZD",
        "MXN",
        "MON",
        "TUE",
        "WED",
        "THU",
        "FRI",
        "SAT",
        "SUN",
        "JAN",
        "FEB",
        "MAR",
        "APR",
        "MAY",
        "JUN",
        "JUL",
        "AUG",
        "SEP",
        "OCT",
        "NOV",
        "DEC",
        "AND",
        "THE",
        "FOR",
        "ANY",
        "NOT",
        "ALL",
        "BIG",
        "OUR",
        "YES",
        "TWO",
        "SIX",
        "TEN",
        "ONE",
        "MAX",
        "MIN",
        "PER",
        "DAY",
        "WAY",
        "NEW",
        "OLD",
        "HOT",
        "BUS",
        "CAR",
        "MAP",
        "NON",
        "VIP",
        "UTC",
        "GMT",
        "EST",
        "PST",
        "TBD",
        "TBA",
        "FYI",
        "AKA",
        "DIY",
        "SPA",
        "BBQ",
        "GPS",
        "USA",
        "FLY",
        "TOP",
        "OUT",
        "SEE",
        "WHO",
        "HOW",
        "NOW",
        "GET",
        "LOS",
    ]
)
"""Three capitals that are codes of small airports, and hardly ever meant as such."""

COUNTRIES = {
    "AR": "argentina", "AU": "australia", "AT": "austria", "BE": "belgium", "BR": "brazil", "CA": "canada",
    "CL": "chile", "CN": "china", "CO": "colombia", "CR": "costa rica", "CU": "cuba", "DE": "germany",
    "DK": "denmark", "DO": "dominican republic", "EG": "egypt", "ES": "spain", "FI": "finland", "FR": "france",
    "GB": "united kingdom", "GR": "greece", "GY": "guyana", "HR": "croatia", "HU": "hungary", "IE": "ireland",
    "IL": "israel", "IN": "india", "IS": "iceland", "IT": "italy", "JM": "jamaica", "JP": "japan", "KE": "kenya",
    "KR": "south korea", "KY": "cayman islands", "MA": "morocco", "MX": "mexico", "MY": "malaysia",
    "NL": "netherlands", "NO": "norway", "NZ": "new zealand", "PA": "panama", "PE": "peru", "PH": "philippines",
    "PL": "poland", "PT": "portugal", "RU": "russia", "SE": "sweden", "SG": "singapore", "TH": "thailand",
    "TR": "turkey", "TW": "taiwan", "US": "united states", "VN": "vietnam", "ZA": "south africa",
}  # fmt: skip

COUNTRY_NAMES = {name: code for code, name in COUNTRIES.items()} | {"uk": "GB", "usa": "US", "us": "US"}

STATES = {
    "AL": "alabama", "AK": "alaska", "AZ": "arizona", "AR": "arkansas", "CA": "california", "CO": "colorado",
    "CT": "connecticut", "DC": "district of columbia", "DE": "delaware", "FL": "florida", "GA": "georgia",
    "HI": "hawaii", "ID": "idaho", "IL": "illinois", "IN": "indiana", "IA": "iowa", "KS": "kansas", "KY": "kentucky",
    "LA": "louisiana", "ME": "maine", "MD": "maryland", "MA": "massachusetts", "MI": "michigan", "MN": "minnesota",
    "MS": "mississippi", "MO": "missouri", "MT": "montana", "NE": "nebraska", "NV": "nevada", "NH": "new hampshire",
    "NJ": "new jersey", "NM": "new mexico", "NY": "new york", "NC": "north carolina", "ND": "north dakota",
    "OH": "ohio", "OK": "oklahoma", "OR": "oregon", "PA": "pennsylvania", "RI": "rhode island",
    "SC": "south carolina", "SD": "south dakota", "TN": "tennessee", "TX": "texas", "UT": "utah", "VT": "vermont",
    "VA": "virginia", "WA": "washington", "WV": "west virginia", "WI": "wisconsin", "WY": "wyoming",
}  # fmt: skip
