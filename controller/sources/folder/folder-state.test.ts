import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  declaredBy,
  type FileState,
  type FolderState,
  nextFolderState,
  REMOVAL_GRACE_MS,
  type Scan,
} from './folder-state.ts';
import { claimsOf } from './manifest-file.ts';

const rule = (name: string, port: number) => `
apiVersion: podwall.io/v1alpha1
kind: NetworkRule
metadata: {name: ${name}, namespace: shop}
spec: {selector: {}, egress: [{name: web, action: Allow, ports: [tcp/${port}]}]}
`;
const file = (...names: string[]): string => names.map((name) => rule(name, 80)).join('---');
const scan = (files: Readonly<Record<string, string>>): Scan =>
  new Map(Object.entries(files).map(([name, text]) => [name, { text }]));
const namesOf = (state: FolderState): string =>
  declaredBy(state)
    .rules.map(({ name }) => name)
    .sort()
    .join(' ');

/** Looks at these one after the other, 50 ms apart. */
const looks = (...folders: Readonly<Record<string, string>>[]): FolderState =>
  folders.reduce<FolderState>((state, files, index) => nextFolderState(state, scan(files), index * 50), new Map());

describe('a file that is no text', () => {
  it('is refused in lines that can be printed and are short', () => {
    const noise = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
    const files = { 'a.yaml': noise.repeat(20), 'b.yaml': `--- \u001b[2J${'x'.repeat(5000)}`, 'c.yaml': `{${noise}` };
    const messages = declaredBy(looks(files)).refusals.map(({ message }) => message);
    assert.ok(messages.length >= 3);
    for (const message of messages) assert.match(message, /^[^\p{Cc}]{1,200}$/u);
  });
});

describe('of two files with the same rule', () => {
  const cases: [what: string, folders: Record<string, string>[], rules: string, refused: string[]][] = [
    ['the first by name has it, if both come at once', [{ 'a.yaml': file('x'), 'b.yaml': file('x') }], 'x', ['b.yaml']],
    [
      'the one that had it keeps it',
      [{ 'b.yaml': file('x') }, { 'a.yaml': file('x'), 'b.yaml': file('x') }],
      'x',
      ['a.yaml'],
    ],
    [
      'the one that had it keeps it while it is bad',
      [
        { 'a.yaml': file('y'), 'b.yaml': file('x') },
        { 'a.yaml': file('x', 'y'), 'b.yaml': 'kind: [' },
      ],
      'x y',
      ['a.yaml', 'b.yaml'],
    ],
    [
      'the new one has it once the old one lets go in the same look',
      [
        { 'a.yaml': file('x'), 'b.yaml': file('y') },
        { 'a.yaml': file('z'), 'b.yaml': file('x', 'y') },
      ],
      'x y z',
      [],
    ],
    [
      'each may take over the other’s',
      [
        { 'a.yaml': file('x'), 'b.yaml': file('y') },
        { 'a.yaml': file('y'), 'b.yaml': file('x') },
      ],
      'x y',
      [],
    ],
    [
      'the new one has it though the old one comes back',
      [{ 'a.yaml': file('x') }, { 'b.yaml': file('x') }, { 'a.yaml': 'kind: [', 'b.yaml': file('x') }],
      'x',
      ['a.yaml'],
    ],
  ];
  for (const [what, folders, rules, refused] of cases) {
    it(what, () => {
      const state = looks(...folders);
      assert.equal(namesOf(state), rules);
      assert.deepEqual(
        [...state]
          .filter(([, { refusals }]) => refusals.length > 0)
          .map(([name]) => name)
          .sort(),
        refused,
      );
    });
  }
});

describe('a folder is not complete', () => {
  const cases: [what: string, folders: Record<string, string>[], isComplete: boolean][] = [
    ['while a file was never valid', [{ 'a.yaml': 'kind: [' }], false],
    ['at the moment in which such a file is replaced', [{ 'a.yaml': 'kind: [' }, {}], false],
    ['but is with a file that once was valid', [{ 'a.yaml': file('x') }, { 'a.yaml': 'kind: [' }], true],
    ['but is once the bad file is gone for good', [{ 'a.yaml': 'kind: [' }, {}, {}, {}, {}, {}], true],
  ];
  for (const [what, folders, isComplete] of cases) {
    it(what, () => assert.equal(declaredBy(looks(...folders)).unread !== 'unknown', isComplete));
  }
});

describe('whatever happens to files', () => {
  const text = fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.subarray(['x', 'y', 'z']), fc.integer({ min: 1, max: 3 }))
        .map(([names, port]) => names.map((name) => rule(name, port)).join('---') || '# none'),
    },
    { weight: 2, arbitrary: fc.constantFrom('kind: [', '') },
  );
  const folder = fc.dictionary(fc.constantFrom('a.yaml', 'b.yaml', 'c.yaml'), text, { maxKeys: 3 });
  const steps = fc.array(fc.tuple(folder, fc.constantFrom(0, 50, REMOVAL_GRACE_MS)), { minLength: 1, maxLength: 10 });

  it('no rule is declared twice, and none goes but by a valid file without it or a file that is gone', () => {
    fc.assert(
      fc.property(steps, (history) => {
        let state: FolderState = new Map();
        let nowMs = 0;
        for (const [files, passedMs] of history) {
          nowMs += passedMs;
          const before = state;
          state = nextFolderState(before, scan(files), nowMs);
          const claims = declaredBy(state).rules.flatMap(claimsOf);
          assert.equal(new Set(claims).size, claims.length, 'declared twice');
          for (const [name, { inForce = [], missingSinceMs }] of before) {
            for (const resource of inForce) {
              if (claims.includes(claimsOf(resource)[0] ?? '')) continue;
              const isGone = missingSinceMs !== undefined && nowMs - missingSinceMs >= REMOVAL_GRACE_MS;
              assert.ok(isGone || isWithout(state.get(name)), `${resource.name} of ${name} went`);
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  const isWithout = (now: FileState | undefined): boolean =>
    now !== undefined && now.missingSinceMs === undefined && now.refusals.length === 0;
});
