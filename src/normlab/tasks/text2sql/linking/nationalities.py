"""Adjectives of countries: "French" may ask for the cell 'France', and "from France" for the cell 'French'."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from normlab.data.sql.cells import cell_key

_LINES = """
afghan: afghanistan; albanian: albania; algerian: algeria; american: usa, us, united states, united states of
america, u s a, u s; angolan: angola; argentinian, argentine: argentina; armenian: armenia; australian: australia;
austrian: austria; azerbaijani: azerbaijan; bangladeshi: bangladesh; belarusian: belarus; belgian: belgium;
bolivian: bolivia; bosnian: bosnia, bosnia and herzegovina; brazilian: brazil; british: uk, united kingdom, great
britain, britain, u k; bulgarian: bulgaria; cambodian: cambodia; cameroonian: cameroon; canadian: canada; chilean:
chile; chinese: china; colombian: colombia; congolese: congo; croatian, croat: croatia; cuban: cuba; cypriot:
cyprus; czech: czech republic, czechia; danish: denmark; dutch: netherlands, the netherlands, holland; ecuadorian:
ecuador; egyptian: egypt; english: england; estonian: estonia; ethiopian: ethiopia; finnish: finland; french:
france; georgian: georgia; german: germany; ghanaian: ghana; greek: greece; hungarian: hungary; icelandic: iceland;
indian: india; indonesian: indonesia; iranian: iran; iraqi: iraq; irish: ireland; israeli: israel; italian: italy;
jamaican: jamaica; japanese: japan; jordanian: jordan; kazakh: kazakhstan; kenyan: kenya; korean: korea, south
korea; latvian: latvia; lebanese: lebanon; libyan: libya; lithuanian: lithuania; luxembourgish: luxembourg;
malaysian: malaysia; maltese: malta; mexican: mexico; moldovan: moldova; mongolian: mongolia; moroccan: morocco;
nepali, nepalese: nepal; nigerian: nigeria; norwegian: norway; pakistani: pakistan; palestinian: palestine;
panamanian: panama; paraguayan: paraguay; peruvian: peru; philippine, filipino: philippines; polish: poland;
portuguese: portugal; romanian: romania; russian: russia, russian federation; saudi: saudi arabia; scottish:
scotland; senegalese: senegal; serbian: serbia; singaporean: singapore; slovak, slovakian: slovakia; slovenian,
slovene: slovenia; somali: somalia; spanish: spain; sudanese: sudan; swedish: sweden; swiss: switzerland; syrian:
syria; taiwanese: taiwan; tanzanian: tanzania; thai: thailand; tunisian: tunisia; turkish: turkey, turkiye; ugandan:
uganda; ukrainian: ukraine; uruguayan: uruguay; venezuelan: venezuela; vietnamese: vietnam; welsh: wales; zambian:
zambia; zimbabwean: zimbabwe
"""


def _read() -> Mapping[str, tuple[str, ...]]:
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in " ".join(_LINES.split()).split(";"):
        adjectives, countries = ([one.strip() for one in part.split(",")] for part in line.split(":"))
        for adjective in adjectives:
            for country in countries:
                said[cell_key([adjective])].append(cell_key(country.split()))
                said[cell_key(country.split())].append(cell_key([adjective]))
    return {key: tuple(others) for key, others in said.items()}


SAID_AS = _read()
"""Key of an adjective or a country (`cell_key`) -> keys of cells that mean it."""
