"""Judges whether a study is complete: headers to facts to roles to a verdict."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from cestle.config.classification import load_rules
from cestle.config.node import NodeConfig
from cestle.config.templates import TemplateFolder
from cestle.dicom.facts import facts_from_dataset
from cestle.dicom.files import read_header
from cestle.errors import InputError
from cestle.service.assembly import Assessment, Gathered
from cestle.spool.records import StoredInstance
from cestle.study.completeness import (
    EXPECTATIONS,
    State,
    StudyProfile,
    assess_completeness,
    take_inventory,
)
from cestle.study.performed_steps import PerformedStep, performed_of
from cestle.study.roles import Classified, Role, RuleSet, classify

_NOT_USED: Final = frozenset({Role.OWN_OUTPUT, Role.VENDOR_PICTURE, Role.IGNORED})
_SPECTRA: Final = frozenset({Role.MRS_MEGA, Role.MRS_WATER})
_LARGEST_CACHE: Final = 20_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """An assessment, and until when nothing but a new instance can change it."""

    arrival: float
    count: int
    steps: tuple[PerformedStep, ...]
    ask_again_at: float
    assessment: Assessment


@dataclass(frozen=True, kw_only=True)
class CompletenessAssessor:
    """Assesses studies by the rules of the templates; headers are read once.

    Parameters
    ----------
    instances
        Folder of the received instances.
    rules
        Which image has which role.
    profile
        What is expected of a study, and how long it is waited for.
    """

    instances: Path
    rules: RuleSet
    profile: StudyProfile
    _roles: dict[str, tuple[Classified, ...]] = field(default_factory=dict)
    _judged: dict[str, _Judged] = field(default_factory=dict)

    @classmethod
    def of(cls, config: NodeConfig, instances: Path) -> "CompletenessAssessor":
        """The assessor of a configuration.

        Raises
        ------
        ConfigError
            When the rules cannot be used.
        """
        study = config.study
        return cls(
            instances=instances,
            rules=load_rules(TemplateFolder.default(config.templates.overlay_dir)),
            profile=StudyProfile(
                expectations=tuple(EXPECTATIONS[name] for name in study.expected),
                quiet_seconds=study.quiet_seconds,
                partial_quiet_seconds=study.partial_quiet_seconds,
                max_wait_minutes=study.max_wait_minutes,
                regions_from_t1=config.analysis.regions.automatic,
                wait_for_regions_minutes=config.analysis.regions.wait_for_expert_minutes,
                performed_quiet_seconds=study.performed_quiet_seconds,
            ),
        )

    def __call__(self, gathered: Gathered) -> Assessment:
        """Judge what has arrived of one study."""
        uid = gathered.instances[0].study_instance_uid
        before = self._judged.get(uid)
        if (
            before is not None
            and (before.arrival, before.count) == (gathered.last_arrival, len(gathered.instances))
            and before.steps == gathered.steps
            and gathered.now < before.ask_again_at
        ):
            return before.assessment
        judged = self._judge(gathered)
        if judged.assessment.ready:
            self._judged.pop(uid, None)
        else:
            self._judged[uid] = judged
        return judged.assessment

    def _judge(self, gathered: Gathered) -> _Judged:
        classified = [one for stored in gathered.instances for one in self._classified(stored)]
        verdict = assess_completeness(
            take_inventory(classified),
            self.profile,
            now=_moment(gathered.now),
            last_arrival=_moment(gathered.last_arrival),
            first_arrival=_moment(gathered.first_arrival),
            performed=performed_of(
                gathered.steps, {one.sop_instance_uid for one in gathered.instances}
            ),
        )
        again = verdict.ask_again_at
        return _Judged(
            arrival=gathered.last_arrival,
            count=len(gathered.instances),
            steps=gathered.steps,
            ask_again_at=gathered.now if again is None else again.timestamp(),
            assessment=Assessment(
                ready=verdict.state is not State.WAIT,
                reason=verdict.reason,
                spectra=frozenset(
                    one.facts.sop_instance_uid for one in classified if one.role in _SPECTRA
                ),
                used=frozenset(
                    one.facts.sop_instance_uid for one in classified if one.role not in _NOT_USED
                ),
            ),
        )

    def _classified(self, stored: StoredInstance) -> tuple[Classified, ...]:
        if stored.sha256 not in self._roles:
            if len(self._roles) >= _LARGEST_CACHE:
                self._roles.clear()
            self._roles[stored.sha256] = self._read(stored)
        return self._roles[stored.sha256]

    def _read(self, stored: StoredInstance) -> tuple[Classified, ...]:
        header = read_header(self.instances / stored.path)
        try:
            facts = () if header is None else facts_from_dataset(header)
        except InputError as fault:
            _log.warning(
                "instance without a role",
                study=stored.study_instance_uid,
                sop_instance_uid=stored.sop_instance_uid,
                reason=str(fault),
            )
            return ()
        return tuple(classify(one, self.rules) for one in facts)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
