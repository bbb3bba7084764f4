import json
from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from chat.database import close_database_threads
from chat.errors import ChatError
from chat.generations.pruning import over, prune_over
from chat.generations.retention import COUNTED, preview, run_rule
from chat.models import RetentionRule


class Command(BaseCommand):
    help = "Delete what is over, and what the rules of retention say. The site may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what would go, and stop.")
        parser.add_argument(
            "--rule",
            action="append",
            metavar="NAME",
            help="Run only this rule, even if it is off. Default: those that are on, and all else.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(
        self, *, dry_run: bool, rule: Sequence[str] | None, json: bool, **options: Any
    ) -> None:
        rules = _rules(rule)
        report: dict[str, Any] = {"dry_run": dry_run, "over": {}, "rules": []}
        try:
            if rule is None:
                report["over"] = over() if dry_run else async_to_sync(prune_over)()
            for each in rules:
                report["rules"].append(_look(each) if dry_run else _run(each))
        except ChatError as exc:
            raise CommandError(f"It was not done to its end: {exc} Run it again.") from exc
        finally:
            close_database_threads()
        self._print_json(report) if json else self._print(report)
        failed = [row["rule"] for row in report["rules"] if "error" in row]
        if failed:
            raise CommandError(f"Not run to the end: {', '.join(failed)}.")

    def _print_json(self, report: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))

    def _print(self, report: dict[str, Any]) -> None:
        self.stdout.write("Would be deleted:" if report["dry_run"] else "Deleted:")
        for what, count in report["over"].items():
            self.stdout.write(f"{count:>9} {what}")
        for row in report["rules"]:
            size = filesizeformat(row["bytes"]).replace("\xa0", " ")
            amounts = [f"{row[name]} {name}" for name in COUNTED if name != "bytes" and row[name]]
            amounts += [f"{size} of files"] if row["bytes"] else []
            said = row.get("error") or ", ".join(amounts) or "nothing"
            self.stdout.write(f"rule “{row['rule']}”: {said}")


def _rules(names: Sequence[str] | None) -> list[RetentionRule]:
    if names is None:
        return list(RetentionRule.objects.filter(is_on=True))
    found = {rule.name: rule for rule in RetentionRule.objects.all()}
    for name in names:
        if name not in found:
            known = ", ".join(map(repr, found)) or "none yet: make one in the admin"
            raise CommandError(f"There is no rule {name!r}. There are: {known}.")
    return [found[name] for name in dict.fromkeys(names)]


def _look(rule: RetentionRule) -> dict[str, Any]:
    return {"rule": rule.name, **preview(rule).amounts}


def _run(rule: RetentionRule) -> dict[str, Any]:
    nothing = dict.fromkeys(COUNTED, 0)
    try:
        run = async_to_sync(run_rule)(rule)
    except ChatError as exc:
        return {"rule": rule.name, **nothing, "error": str(exc)}
    changed = {} if run.is_finished else {"error": "it was changed meanwhile"}
    return {"rule": rule.name, **run.taken, **changed}
