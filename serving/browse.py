"""Looking around in a bundle: listings, searches and details."""

import numpy as np

from pipeline.arrays import Rows
from pipeline.ids import UNKNOWN
from serving.bundle import Bundle
from serving.messages import (
    BundleDetails,
    ItemDetails,
    ItemPage,
    UserDetails,
    UserPage,
    UserSummary,
)
from serving.recommender import Recommender


def list_items(recommender: Recommender, query: str, limit: int, offset: int) -> ItemPage:
    """Return a page of the items that match, most taken first."""
    bundle = recommender.bundle
    found = bundle.catalogue.search(query)
    order = np.argsort(-bundle.takers[found], kind="stable")
    page = found[order[offset : offset + limit]]
    return ItemPage(total=len(found), items=recommender.summaries(page))


def list_users(bundle: Bundle, query: str, limit: int, offset: int) -> UserPage:
    """Return a page of the users whose id begins with ``query``, in the order of the data."""
    keys = bundle.users.keys
    found = np.flatnonzero(np.char.startswith(keys, query)) if query else np.arange(len(keys))
    page = found[offset : offset + limit].tolist()
    users = [UserSummary(id=str(keys[u]), interactions=len(bundle.seen_by(u))) for u in page]
    return UserPage(total=len(found), users=users)


def describe_user(recommender: Recommender, key: str, limit: int) -> UserDetails:
    """Return what is known of a user, which may be nothing."""
    bundle = recommender.bundle
    row = bundle.users.row(key)
    seen: Rows = np.empty(0, dtype=np.int64) if row == UNKNOWN else bundle.seen_by(row)
    since = bundle.activity_of(key).taken
    seen = np.setdiff1d(np.union1d(seen, since), bundle.gone).astype(np.int64)
    return UserDetails(
        id=key,
        known=row != UNKNOWN or len(since) > 0,
        interactions=len(seen),
        history=recommender.summaries(seen[:limit]),
    )


def describe_item(recommender: Recommender, key: str) -> ItemDetails:
    """Return everything known about an item.

    Raises:
        UnknownItemError: the catalogue holds no such item.
    """
    row, bundle = recommender.row(key), recommender.bundle
    item = bundle.catalogue.item(row)
    return ItemDetails(
        **dict(recommender.summaries(np.array([row]))[0]),
        description=bundle.catalogue.description(row),
        brand=item.brand,
        categories=list(item.categories),
        attributes=bundle.catalogue.attributes_of(row),
        users=int(bundle.takers[row]),
        similar_by=recommender.relations,
    )


def describe_bundle(recommender: Recommender) -> BundleDetails:
    """Return what the service serves."""
    bundle = recommender.bundle
    return BundleDetails(
        **dict(recommender.name),
        created_at=str(bundle.artifact.manifest["created_at"]),
        users=len(bundle.users),
        items=len(bundle.catalogue),
        hot_items=int(bundle.hot.sum()),
        interactions=int(bundle.seen.nnz),
        width=int(bundle.index.d),
        relations=recommender.relations,
        audit=dict(bundle.audit),
        facts=dict(bundle.artifact.facts),
    )
