// Who answers: the choice of the select `#model`, which is kept with the conversation.

import { callApi, config, find } from "./page.js";

const AGENT = "agent:";

/** What a choice is in the fields of a frame: of an agent, the conversation's own model stays. */
export function fieldsOf(value) {
  if (value.startsWith(AGENT)) return { agent: value.slice(AGENT.length) };
  return value ? { model: value, agent: "" } : { agent: "" };
}

/** Keep what is chosen from now on, so that every tab and a reload go on with it. */
export function prepareChoice(failed) {
  find("model").addEventListener("change", async ({ target }) => {
    if (!config.conversation) return; // It begins with what is chosen by then.
    try {
      const kept = { model: "", ...fieldsOf(target.value) };
      if (kept.agent) delete kept.model;
      await callApi("PATCH", `conversations/${config.conversation}/`, kept);
    } catch (error) {
      failed(error.message);
    }
  });
}
