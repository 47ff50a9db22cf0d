// The command line: what it decodes to, what it refuses, and the help that documents the exit codes.
import { expect, it } from 'vitest';
import { type Command, commandLine } from '../../plugin/command-line.ts';

const parse = (line: string) =>
  commandLine(
    line.split(' ').filter((word) => word !== ''),
    '1.2.3',
    100,
  );

async function command(line: string): Promise<Command> {
  const parsed = await parse(line);
  if ('text' in parsed) throw new Error(parsed.text);
  return parsed;
}

it('takes the options of kubectl before and after the command', async () => {
  expect(await command('-n shop --context prod describe orders')).toMatchObject({
    namespace: 'shop',
    context: 'prod',
    flags: ' --context prod',
  });
  expect(await command('list-snapshots -A -l app=x -o wide --no-headers --kubeconfig=/a')).toMatchObject({
    namespace: undefined,
    flags: ' --kubeconfig /a',
  });
});

it.each([
  ['', 'name a command'],
  ['restore', 'Unknown argument'],
  ['trigger', 'Not enough'],
  ['trigger a b', 'Unknown argument'],
  ['trigger a --now', 'Unknown argument'],
  ['trigger a -n', 'Not enough arguments following: n'],
  ['describe a -o json', 'Unknown argument'],
  ['list-snapshots -o sh', 'Invalid values'],
])('refuses "%s"', async (line, message) => {
  await expect(parse(line)).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining(message) });
});

it('documents its exit codes', async () => {
  expect(await parse('--help')).toEqual({
    text: expect.stringMatching(/\b3 +the backup failed\n +124 +--timeout passed/),
  });
});

it('knows its version', async () => {
  expect(await parse('--version')).toEqual({ text: '1.2.3\n' });
});

it('takes a name that looks like a number as it stands', async () => {
  const seen: unknown[] = [];
  const open = async (): Promise<never> => {
    throw new Error('opened');
  };
  const chosen = await command('describe 0123');
  await chosen
    .run({ open, terminal: { print() {}, printData() {}, note() {}, progress() {} }, version: '' })
    .catch((error: Error) => seen.push(error.message));
  expect(seen).toEqual(['opened']);
});
