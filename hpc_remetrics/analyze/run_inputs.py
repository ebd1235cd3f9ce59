"""The first step of a run: open the sources, resolve their images, and list the layers."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace

from ..buckets import total_size
from ..claimed_sizes import unique_layers
from ..config import DEMO
from ..errors import UsageError
from ..files.outputs import check_apart
from ..gather.replacement import check_dataset_output, source_names
from ..layout.image_layout import Layout
from ..layout.keep import KeepingSource
from ..mpi.collective import on_rank_0
from ..node.tiers import default_tiers
from ..parts.parts_directory import published_digests
from ..records import LOST_CAUSES, Catalog, Digest, Layer
from ..registry.registries import Registries
from ..sources import open_source
from ..sources.absolute import input_paths
from ..sources.base import Source
from ..sources.resolver import Resolver
from ..sources.stored_configs import StoredConfigs
from ..wording import counted
from .plan import share_of
from .session import Session
from .signature import check_probes, signature_of

log = logging.getLogger(__name__)

MAX_WARNINGS = 5
"""Warnings of one kind that are printed; the dataset has all of them."""


@dataclass(frozen=True)
class Work:
    """What a run is to do; the same on every rank, but for the catalog.

    :ivar catalog: the images, on rank 0; None elsewhere.
    :ivar layers: all layers of the run, or those of its share.
    :ivar signature: what the rows of these layers depend on besides them.
    :ivar whole: layers of the dataset, and their compressed bytes, whatever the share is.
    :ivar lost: how many images, or parts of images, should be in the dataset and can't be.
    """

    sources: list[Source]
    registries: Registries
    catalog: Catalog | None
    layers: dict[Digest, Layer]
    signature: dict[str, str]
    whole: tuple[int, int]
    lost: int


class Inputs:
    """The sources of a run, as rank 0 opens them for all ranks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._options = session.options
        self._registries = Registries(replace(self._options.access, ranks=session.comm.size))
        self._sources: list[Source] = []

    def check(self) -> None:
        """Refuse a run whose mistakes can be seen before anything is made; called on rank 0.

        :raises UsageError: wrong sources or probes, or an output that may not be replaced.
        :raises OutputError: the output, or the layout of `--keep`, can't be written.
        """
        options = self._options
        self.check_output()
        check_probes(options)
        if options.reuse:
            # Only a run that reuses layers loads h5py for that.
            from .reuse import check_reusable

            check_reusable(options)
        references = list(options.sources)
        if not references:
            self._session.say(
                f"no source named: taking {DEMO}, images assembled from this Python installation"
            )
            references = [DEMO]
        self._sources = [open_source(reference, self._registries) for reference in references]
        if options.keep is not None:
            if not any(source.is_remote for source in self._sources):
                message = "--keep stores what is fetched from registries, and no source is at one"
                raise UsageError(message)
            check_apart(options.keep, input_paths(references))
            Layout(options.keep).check()

    def check_output(self) -> None:
        """Refuse an output that may not be replaced; called on rank 0."""
        options = self._options
        references = options.sources or (DEMO,)
        inputs = input_paths(references)
        if options.warm_types is not None:
            inputs = [*inputs, options.warm_types]
        parts = self._session.parts
        check_dataset_output(
            options.output,
            source_names(references),
            lambda: published_digests(parts),
            options.force,
            inputs,
        )

    def resolve(self) -> Work:
        """Resolve all images and list the layers of the run; all ranks call it."""
        session, comm = self._session, self._session.comm
        sources, registries = on_rank_0(comm, self._prepare)
        # Only code that asks registries looks at the stop request.
        if any(source.is_remote for source in sources):
            session.poll_stop()
        catalog = self._resolver().resolve(comm, sources, registries)
        session.leave_on_stop()

        def list_layers() -> tuple[dict[Digest, Layer], dict[str, str], tuple[int, int], int]:
            assert catalog is not None
            layers = unique_layers(catalog)
            whole = len(layers), total_size(layers.values())
            self._say_what_there_is(catalog, whole)
            layers = self._share_of(layers)
            signature = signature_of(self._options)
            return layers, signature, whole, self._warn_of_lost(catalog)

        layers, signature, whole, lost = on_rank_0(comm, list_layers)
        return Work(sources, registries, catalog, layers, signature, whole, lost)

    def _prepare(self) -> tuple[list[Source], Registries]:
        """Make what sources need on disk, and wrap those whose blobs are kept."""
        sources = self._sources
        for source in sources:
            source.prepare()
            self._session.heartbeat()
        if self._options.keep is not None:
            layout = self._session.open_kept_layout(self._options.keep)
            sources = [
                KeepingSource(source, layout) if source.is_remote else source for source in sources
            ]
        return sources, self._registries

    def _resolver(self) -> Resolver:
        session, options = self._session, self._options
        return Resolver(
            options.platforms,
            options.limits,
            session.parts,
            session.stop,
            session.heartbeat,
            options.quiet,
            options.keep,
            options.keep_secrets,
            StoredConfigs((options.scratch or default_tiers())[-1]),
        )

    def _say_what_there_is(self, catalog: Catalog, whole: tuple[int, int]) -> None:
        """Print how many images, layers and bytes there are, and what is skipped."""
        count, size = whole
        skipped = Counter(skipped.cause for skipped in catalog.skipped)
        causes = ", ".join(f"{number} {cause}" for cause, number in sorted(skipped.items()))
        images, layers = counted(len(catalog.images), "image"), counted(count, "layer")
        self._session.say(
            f"{images}, {layers}, {size / 1e9:.2f} GB compressed"
            + (f"; skipped: {causes}" if causes else "")
        )

    def _share_of(self, layers: dict[Digest, Layer]) -> dict[Digest, Layer]:
        """Return the layers of this job's `--share`, or all of them."""
        if self._options.share is None:
            return layers
        number, count = self._options.share
        own = share_of(layers.values(), number, count)
        self._session.say(f"share {number} of {count}: {counted(len(own), 'layer')}")
        return {layer.digest: layer for layer in own}

    def _warn_of_lost(self, catalog: Catalog) -> int:
        """Warn of images that can't be in the dataset; return how many there are."""
        # Name the first ones, and count the others.
        lost = [skipped for skipped in catalog.skipped if skipped.cause in LOST_CAUSES]
        for skipped in lost[:MAX_WARNINGS]:
            message = "%s is not in the dataset: %s: %s"
            log.warning(message, skipped.image, skipped.cause, skipped.message)
        if len(lost) > MAX_WARNINGS:
            message = "and %d more; the dataset's table /skipped lists all of them"
            log.warning(message, len(lost) - MAX_WARNINGS)

        # Explain what `docker save` leaves out; that is no failure.
        absent = sum(skipped.cause == "not_in_archive" for skipped in catalog.skipped)
        if absent:
            manifests = counted(absent, "manifest")
            self._session.say(
                f"not in the archives: {manifests} that indexes name; "
                "`docker save` leaves these out"
            )
        if catalog.passing:
            log.warning("some of these failures may be temporary: run the command again to retry")
        return len(lost)
