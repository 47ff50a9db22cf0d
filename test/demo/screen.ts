// What the demo prints: numbered steps with the time gone by, commands as a person would type them, their output indented.

const started = performance.now();
let step = 0;

export function clock(): string {
  const seconds = Math.round((performance.now() - started) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function heading(text: string): void {
  step += 1;
  console.log(`\n[${clock()}] ${step}. ${text}`);
}

export function say(text: string): void {
  for (const line of text.trimEnd().split('\n')) console.log(`      ${line}`);
}

export function command(text: string): void {
  console.log(`    $ ${text}`);
}
