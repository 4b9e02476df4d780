"""Shops: orders, sessions and carts, and what they are made of."""

from __future__ import annotations

from services.metrics.domain.catalogue.entry import (
    ORDER,
    Chosen,
    Entry,
    Json,
    Option,
    count,
    derived,
    distinct,
    eq,
    from_figure,
    had,
    of,
    ratio,
    total,
)

_G = "e-commerce"
_SESSION, _CART, _REFUND = (
    "commerce.session.started", "commerce.cart.abandoned", "commerce.order.refunded",
)  # fmt: skip
_STEP = "web.step.reached"
_ORDERS, _BUYERS = count(ORDER), distinct(ORDER, "customer")
_SHOPS = ("site", "brand", "segment")


def _return_rate(chosen: Chosen) -> Json:
    if chosen["by"] == "value":
        return ratio(total(_REFUND, "amount"), total(ORDER, "amount"))
    refunded = distinct(_REFUND, "order") if chosen["by"] == "orders" else count(_REFUND)
    return ratio(refunded, _ORDERS)


ENTRIES = (
    Entry("aov", "Average order value", "sum of order amounts / orders", "money", "up", "lagging",
          "value", lambda c: of("average", ORDER, "amount"), _G, dimensions=_SHOPS,
          convention="Shopify documents", drives=("revenue",),
          traps="Say whether tax, shipping, discounts, returns and cancelled orders are in it."),
    Entry("conversion-rate", "Conversion rate", "orders / sessions", "ratio", "up", "leading",
          "value", lambda c: ratio(_ORDERS, count(_SESSION)) if c["per"] == "session"
          else ratio(_BUYERS, distinct(_SESSION, "customer")), _G, audience="prospect",
          options=(Option("per", "session", "Orders per session, or buyers per visitor",
                          ("session", "visitor")),), dimensions=("site",), drives=("revenue",)),
    Entry("cart-abandonment", "Cart abandonment", "1 - completed / carts started", "ratio", "down",
          "leading", "value",
          lambda c: derived("abandoned / (abandoned + orders)", abandoned=count(_CART),
                            orders=_ORDERS), _G, audience="prospect", dimensions=("site",),
          convention="Shopify documents", traps="The source decides when a cart is abandoned."),
    Entry("b2b-revenue-share", "B2B share of revenue", "revenue of companies / revenue", "ratio",
          "band", "lagging", "value",
          lambda c: ratio(total(ORDER, "amount", eq("segment", "b2b")), total(ORDER, "amount")),
          _G, dimensions=("site", "brand")),
    from_figure("private-label-mix", "Private label mix", "own-label revenue / revenue", "ratio",
                "band", "lagging", "value", _G, drives=("gross-margin",)),
    Entry("repeat-rate", "Repeat rate", "customers who had ordered before / customers", "ratio",
          "up", "lagging", "value",
          lambda c: ratio(distinct(ORDER, "customer", had(ORDER, None, "customer")), _BUYERS), _G,
          audience="customer", dimensions=_SHOPS, drives=("revenue",)),
    Entry("purchase-frequency", "Purchase frequency", "orders / customers", "count", "up",
          "lagging", "value", lambda c: ratio(_ORDERS, _BUYERS), _G, audience="customer",
          dimensions=_SHOPS, drives=("revenue",)),
    Entry("return-rate", "Return rate", "refunds / orders", "ratio", "down", "lagging", "value",
          _return_rate, _G, audience="customer",
          options=(Option("by", "count", "Refunds, orders that have any, or their value",
                          ("count", "orders", "value")),),
          traps="Refunds of this period, orders of this period; by orders those count that name "
          "theirs."),
    from_figure("recommendation-share", "Share of sales from recommendations",
                "revenue of recommended lines / revenue", "ratio", "up", "lagging", "value", _G,
                drives=("revenue",)),
    Entry("step-drop-off", "Step drop-off", "reached a step and did not act / reached it",
          "ratio", "down", "leading", "value",
          lambda c: ratio(count(_STEP, eq("acted", False)), count(_STEP)), _G,
          audience="prospect", dimensions=("page", "step"), traps="Group by step."),
)  # fmt: skip
