"""How a column writes its dates, where that is not ISO 8601."""

import re
from typing import Annotated, Any

import pydantic

# seconds and milliseconds since 1970-01-01, and how many are a second
UNIX = {"unix": 1, "unix_ms": 1000}
# as in Python's `strptime`; %b and %B are English names, short or whole, %p is AM or PM
DIRECTIVES = "YymbBdHIMSp"
_DIRECTIVE = re.compile("%(.)", re.DOTALL)


def _checked(form: Any) -> Any:
    if not isinstance(form, str) or form in UNIX:
        return form
    found = _DIRECTIVE.findall(form)
    wrong = next((one for one in found if one not in DIRECTIVES), None)
    once = all(sum(map(found.count, group)) == 1 for group in ("Yy", "mbB", "d"))
    clock = [found.count(one) for one in "HIMSp"]
    # minutes need an hour, seconds minutes, a 12-hour clock its half of the day
    fits = (
        max(clock) <= 1
        and clock[0] + clock[1] <= 1
        and clock[1] == clock[4]
        and clock[3] <= clock[2] <= clock[0] + clock[1]
    )
    if wrong is not None or not once or not fits or len(form) > 100:
        known = " ".join(f"%{one}" for one in DIRECTIVES)
        raise ValueError(
            f"must be unix, unix_ms, or a year, a month, a day and a time of {known}, as in"
            f" %d.%m.%Y, received {form!r:.110}"
        )
    return form


DateFormat = Annotated[str, pydantic.BeforeValidator(_checked)]
