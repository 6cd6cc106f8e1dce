"""Any valid versions, for Hypothesis."""

from hypothesis import strategies as st

from registry_model.version import Version

NUMBERS = st.one_of(st.integers(0, 12), st.integers(0, 10**18 - 1))
_IDENTIFIERS = st.one_of(
    st.integers(0, 12).map(str),
    st.from_regex(r"[0-9A-Za-z-]{0,5}[A-Za-z-][0-9A-Za-z-]{0,5}", fullmatch=True),
)
_PRERELEASES = st.lists(_IDENTIFIERS, max_size=4).map(tuple)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, _PRERELEASES).filter(
    lambda version: len(str(version)) <= 64
)
