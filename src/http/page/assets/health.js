// How it goes, in one sentence: the worst wins.
import { clockText, count, many, span, timeText } from "./format.js";
import { link } from "./router.js";

const NAMES = { kafka: "Kafka", redis: "Redis", schema_registry: "The schema registry" };
const AWAY = {
  kafka: "Reads go on; writes and webhooks are kept here and forwarded in order.",
  redis: "Each instance counts limits for itself meanwhile; what is revoked stays revoked.",
  schema_registry: "Records of other topics that need a schema that is not known wait.",
};
const list = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

export function healthOf(overview, stats, failed) {
  if (failed) return { kind: "bad", mark: "stop", title: "The figures could not be read", text: `${failed.message}. What you see is from ${clockText(overview.at)}.`, links: [] };
  const { health, notReady, dependencies, lanes, letters, outbox } = overview;
  const since = health.since;
  const lasted = (new Date(overview.at) - new Date(since)) / 1000;
  const sinceText = lasted < 5 ? "just now" : `since ${timeText(since, { precise: true })}, for ${span(lasted)}`;
  if (health.state === "not_ready") {
    const reasons = Object.entries(notReady).map(([part, why]) => `${part}: ${why}`).join("; ");
    return { kind: "bad", mark: "stop", title: `Not ready ${sinceText}`, text: reasons || "Reads are answered as far as that goes.", links: [] };
  }
  if (health.state === "dependency_down") {
    const away = Object.keys(dependencies).filter((name) => !dependencies[name]);
    const waits = outbox.records ? ` ${many(outbox.records, "event")} ${outbox.records === 1 ? "waits" : "wait"} so far.` : "";
    return { kind: "warn", mark: "warn", title: `${list(away.map((name) => NAMES[name] ?? name))} ${away.length > 1 ? "are" : "is"} away ${sinceText}`, text: `${away.map((name) => AWAY[name] ?? "").join(" ")}${waits}`, links: [] };
  }
  if (health.state === "behind") {
    const behind = lanes.filter((it) => it.lagRecords > 0);
    const records = behind.reduce((sum, it) => sum + it.lagRecords, 0);
    const oldest = Math.max(0, ...behind.map((it) => it.lagSeconds ?? 0));
    const names = behind.length <= 4 ? ` in ${behind.length === 1 ? "partition" : "partitions"} ${list(behind.map((it) => it.partition))}` : "";
    return { kind: "bad", mark: "stop", title: `Behind on ${behind.length} of ${many(lanes.length, "partition")} ${sinceText}`, text: `${many(records, "record")} wait${names}; what they hold is up to ${span(oldest)} old. Reads and writes go on.`, links: [["See the lag", "#lag"]] };
  }
  if (health.state === "letters_growing") return { kind: "warn", mark: "warn", title: `Dead letters are growing ${sinceText}`, text: `${many(letters.kept, "record")} could not be applied and are kept. Everything else goes on.`, links: [["See why", link("dead-letters")]] };
  const ready = overview.startedAt ? `Running for ${span((new Date(overview.at) - new Date(overview.startedAt)) / 1000)}. ` : "";
  const unknown = lanes.some((it) => it.lagRecords === null);
  const records = lanes.reduce((sum, it) => sum + (it.lagRecords ?? 0), 0);
  const applied = unknown ? "How far the log reaches is not known yet." : records ? `${count(records)} records are being applied just now.` : "Everything on the log is applied.";
  const partial = stats?.partial ? ` This store does not know everything: ${stats.partial}` : "";
  return { kind: partial ? "warn" : "ok", mark: partial ? "warn" : "check", title: partial ? "Keeping up, with a part missing" : "Keeping up", text: `${ready}${applied}${partial}`, links: [] };
}
