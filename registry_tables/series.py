"""Series of stable versions: all of them, those of one major version, those of one minor one."""

from dataclasses import dataclass

from registry_model.needs import LATEST
from registry_model.version import Version


@dataclass(frozen=True, slots=True)
class Series:
    """The stable versions that `latest`, `<major>.x` or `<major>.<minor>.x` chooses from."""

    major: int | None = None
    minor: int | None = None

    def __str__(self) -> str:
        """Return the selector that resolves to the series' highest active version."""
        if self.major is None:
            return LATEST
        return f"{self.major}.x" if self.minor is None else f"{self.major}.{self.minor}.x"

    @property
    def wider(self) -> "Series | None":
        """The next wider series, whose highest version may be this one's too; None for all."""
        if self.major is None:
            return None
        return Series() if self.minor is None else Series(self.major)

    def includes(self, version: Version) -> bool:
        """Return whether *version* belongs to the series."""
        return self.major in (None, version.major) and self.minor in (None, version.minor)


def series_of(version: Version) -> tuple[Series, ...]:
    """Return the series that a version belongs to, the widest first; none for a pre-release."""
    if not version.is_stable:
        return ()
    return Series(), Series(version.major), Series(version.major, version.minor)
