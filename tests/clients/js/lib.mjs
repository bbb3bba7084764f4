// How a script is told what to do, and says what it has seen.

/** The script's arguments: what is JSON as its value, anything else as it stands. */
export function told() {
  return process.argv.slice(2).map((text) => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  });
}

export function print(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
