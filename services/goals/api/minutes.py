"""The minutes of a review as a page that works without scripts, prints and reads on a phone."""

from __future__ import annotations

from typing import Any

from jinja2 import Template

from services.goals.domain.body import Body
from services.goals.domain.initiative import Initiative
from services.goals.domain.review import Review

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ body.name }}, {{ review.on }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: bold; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
thead th { border-bottom: 2px solid #333; }
tbody td, tbody th { border-bottom: 1px solid #ccc; font-weight: normal; }
td.figure { text-align: right; white-space: nowrap; }
footer { color: #555; font-size: .85rem; margin-top: 2rem; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>{{ body.name }}: {{ initiative.body.name }}</h1>
<p>{{ review.on }}. There: {{ review.attendance | join(", ") }}.</p>
{% if review.notes %}<h2>Notes</h2><p>{{ review.notes }}</p>{% endif %}
{% if review.feedback %}<h2>Feedback that was cited</h2>
<ul>{% for said in review.feedback %}<li>{{ said }}</li>{% endfor %}</ul>{% endif %}
<h2>Goals</h2>
<div class="table" role="region" aria-label="Goals" tabindex="0"><table>
<thead><tr><th scope="col">Goal</th><th scope="col">Owner</th><th scope="col">Status</th>
<th scope="col">Now</th><th scope="col">Target</th><th scope="col">Why</th></tr></thead>
<tbody>
{% for one in goals %}<tr><th scope="row">{{ one.goal.title }}</th>
<td>{{ one.goal.business_owner or "nobody" }}</td>
<td>{{ one.progress.status | replace("_", " ") }}</td>
<td class="figure">{% if one.progress.current and one.progress.current.value is not none %}
{{ short(one.progress.current.value) }} ({{ one.progress.current.period }})
{% else %}-{% endif %}</td>
<td class="figure">{% if one.progress.target %}
{{ short(one.progress.target.value) if one.progress.target.value is not none
   else one.progress.target.band | map("string") | join(" to ") }}
({{ one.progress.target.period }})
{% else %}-{% endif %}</td>
<td>{{ one.progress.because | map(attribute="text") | join(" ") }}</td></tr>
{% else %}<tr><td colspan="6">There are no goals yet.</td></tr>{% endfor %}
</tbody></table></div>
<h2>Decisions</h2>
{% if review.decisions %}<ol>{% for one in review.decisions %}
<li><strong>{{ one.kind | replace("_", " ") }}</strong>{% if one.goal_id in titles %}
({{ titles[one.goal_id] }}){% endif %}: {{ one.text }} Because: {{ one.reason }}
{% if one.answer_by %}To be answered by {{ one.answer_by }}.
{% if one.answer %}Answer: {{ one.answer }}{% endif %}{% endif %}</li>
{% endfor %}</ol>{% else %}<p>None.</p>{% endif %}
<h2>Actions</h2>
{% if review.actions %}<ul>{% for one in review.actions %}
<li>{{ one.text }} ({{ one.owner }}, until {{ one.due }}){% if one.done %}.
Done: {{ one.done }}{% endif %}</li>
{% endfor %}</ul>{% else %}<p>None.</p>{% endif %}
</main>
<footer>As known at {{ review.scorecard.known_at }}; goals {{ review.scorecard.basis.goals }},
metrics {{ review.metrics_basis or "not asked" }}.</footer>
</body>
</html>
""",
    autoescape=True,
    trim_blocks=True,
)


def _short(value: float) -> str:
    """A figure as people read it: four digits after the point at most."""
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def minutes_page(review: Review, body: Body, initiative: Initiative) -> str:
    """The page; what people wrote is escaped."""
    goals: list[dict[str, Any]] = [
        one for group in review.scorecard["groups"] for one in group["goals"]
    ]
    titles = {one["goal"]["id"]: one["goal"]["title"] for one in goals}
    page: str = _PAGE.render(
        review=review, body=body, initiative=initiative, goals=goals, titles=titles, short=_short
    )
    return page
