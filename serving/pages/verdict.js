// Shows which version answered, the gate's verdict on it, and the link to its report.

const make = (tag, text = "", className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
const bound = (check) => `${check.upper ? "limit" : "floor"} ${check.floor.toFixed(check.decimals)}`;

function measured(check) {
  if (check.value === null) return check.problem || "no photos";
  const interval = check.low === null || check.high === null ? "" : ` (${check.low.toFixed(4)}\u00a0to\u00a0${check.high.toFixed(4)})`;
  return check.value.toFixed(check.decimals) + interval;
}

function line(version, { blessed, split, checks }) {
  const [first] = checks;
  const figure = first ? `, ${first.what} ${measured(first)} on ${split}, ${bound(first)}` : "";
  return `version ${version}: ${blessed ? "passed" : "did not pass"} the gate${figure}`;
}

function row(check) {
  const result = check.passed ? "passed" : "refused";
  const cells = [make("th", check.what), make("td", measured(check)), make("td", bound(check)), make("td", result)];
  cells[0].scope = "row";
  if (!check.passed) cells[3].className = "warn";
  if (check.undecided) cells[3].textContent += " †";
  const line = make("tr");
  line.append(...cells);
  return line;
}

function checks({ split, checks: all }) {
  const [head, body, table, details] = ["thead", "tbody", "table", "details"].map((each) => make(each));
  const names = make("tr");
  names.append(...["check", "value (95 % interval)", "threshold", "result"].map((each) => Object.assign(make("th", each), { scope: "col" })));
  head.append(names);
  body.append(...all.map(row));
  table.className = "checks";
  table.append(make("caption", `The gate's checks, accuracy and recall on the ${split} split`, "note"), head, body);
  details.append(make("summary", all.length === 1 ? "The check" : `All ${all.length} checks`), table);
  if (all.some((each) => each.undecided)) details.append(make("p", "† The threshold is inside the interval: another split of this size may give the opposite result.", "note"));
  details.append(...all.filter((each) => each.comparison).map((each) => make("p", each.comparison, "note")));
  return details;
}

function link(version, url) {
  const result = make("a", `Report of version ${version}`);
  const paragraph = make("p");
  Object.assign(result, { href: url, target: "_blank", rel: "noopener noreferrer" });
  paragraph.append(result, make("span", " (in a new tab)"));
  return paragraph;
}

// Returns the elements, given the answer of /verdict.
export function verdict(version, { verdict: found, report, note }) {
  const parts = [make("p", found ? line(version, found) : `version ${version}`, "note")];
  if (found?.checks.length) parts.push(checks(found));
  if (report) parts.push(link(version, report));
  if (note) parts.push(make("p", note, "note"));
  return parts;
}
