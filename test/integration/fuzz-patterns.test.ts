// Every pattern of the CRD means the same to JavaScript (the rules) and to Go's regexp (the API server), over thousands of texts that it
// accepts, that are one slip away from these, or that are hostile.
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Random, roundOf } from '../fuzz/chance.ts';
import { patternsOf } from '../fuzz/crd-patterns.ts';
import { hostileText } from '../fuzz/hostile.ts';
import { parsePattern } from '../fuzz/pattern.ts';
import { sample, slip } from '../fuzz/sample.ts';
import { run } from '../rig/command.ts';

const seed = Number(process.env['TEST_SEED'] ?? '20250327');
const textsEach = 4000;
const patterns = [...new Set(patternsOf().map(({ pattern }) => pattern))];

function textOf(pattern: string, random: Random): string {
  if (random.chance(0.2)) return hostileText(random);
  let text = sample(parsePattern(pattern), random);
  for (let slips = random.below(4); slips > 0; slips--) text = slip(text, random);
  return text;
}

const questionOf = (pattern: string, number: number) => ({
  pattern,
  texts: Array.from({ length: textsEach }, (_, round) => textOf(pattern, roundOf(seed + number, round))),
});

/** For each question a line with a 1 for every text that matches. */
async function askGo(questions: object[]): Promise<string[]> {
  const program = path.join(import.meta.dirname, '..', 'fuzz', 're2');
  const options = {
    cwd: program,
    env: { ...process.env, GOWORK: 'off', CGO_ENABLED: '0' },
    input: JSON.stringify(questions),
  };
  return (await run(['go', 'run', '.'], options)).trimEnd().split('\n');
}

describe('JavaScript and Go agree', () => {
  const questions = patterns.map(questionOf);
  let answers: string[];

  beforeAll(async () => {
    answers = await askGo(questions);
  });

  test.each(patterns.map((pattern, number) => ({ pattern, number })))('on $pattern', ({ pattern, number }) => {
    // As the rules compile it.
    const expression = new RegExp(pattern, 'u');
    const texts = questions[number]?.texts ?? [];
    const inGo = answers[number] ?? '';
    expect(inGo).toHaveLength(textsEach);
    const different = texts.filter((text, at) => expression.test(text) !== (inGo[at] === '1'));
    expect(different).toEqual([]);
    // Texts that all match, or none of which does, would prove little.
    const matching = [...inGo].filter((answer) => answer === '1').length;
    expect(matching).toBeGreaterThan(textsEach / 20);
    // Some patterns take nearly everything, such as all but the zero byte.
    expect(matching).toBeLessThan(textsEach - textsEach / 100);
  });
});

test('a difference would be found', async () => {
  // What \s means to the two: the one sees a space in a line separator, the other does not.
  expect([/^\s$/u.test('\u2028'), await askGo([{ pattern: '^\\s$', texts: ['\u2028', ' '] }])]).toEqual([true, ['01']]);
});
