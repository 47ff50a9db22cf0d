// The rig's command line, run as a person would.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';

const state = mkdtempSync(path.join(tmpdir(), 'dbbackup-main-'));
afterAll(() => rmSync(state, { recursive: true, force: true }));

function rig(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, XDG_STATE_HOME: state, NODE_NO_WARNINGS: '1' };
  const ended = spawnSync(process.execPath, [path.join(import.meta.dirname, 'main.ts'), ...args], { env });
  return { code: ended.status, stdout: `${ended.stdout}`, stderr: `${ended.stderr}` };
}

it.each([
  [[], 'no command given'],
  [['start'], 'no command "start"'],
  [['up', 'extra'], '"up" takes no "extra"'],
  [['up', '--nope'], "Unknown option '--nope'"],
  [['down', '--control-plane-only'], '"down" takes no --control-plane-only'],
  [['up', '--name', 'Not_Good'], 'name the rig: "Not_Good"'],
  [['load'], 'load takes one archive'],
])('ends with 2, the mistake and the usage for: %j', (args, message) => {
  const { code, stdout, stderr } = rig(...args);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
  expect(stderr).toContain('usage: npm run rig');
});

it('prints the usage on request', () => {
  expect(rig('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('usage: npm run rig') });
});

it('says that no rig is up', () => {
  expect(rig('status')).toEqual({ code: 0, stdout: 'no rig is up\n', stderr: '' });
  expect(rig('kubeconfig')).toEqual({ code: 1, stdout: '', stderr: 'no rig "main" is up; npm run rig -- up\n' });
});

it('stops a rig that is not there without complaint', () => {
  expect(rig('down')).toMatchObject({ code: 0, stderr: 'rig "main" is down\n' });
});
