// The protocol's documentation against the definitions: a table that differs is shown as it should be.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { COMMAND_NAMES, commandSchemas } from './commands.ts';
import * as reports from './report-layouts.ts';
import { ERROR_CODE } from './reports.ts';
import { applicationTable, layoutTable, memberRows, threatTable } from './tables.ts';

/** Without what aligns the columns of tables. */
const README = readFileSync(`${import.meta.dirname}/README.md`, 'utf8').replace(/^\|.*\|$/gm, (line) =>
  line.replace(/ +\|/g, ' |').replace(/-{3,}/g, '---'),
);
const { REPORT_KIND } = reports;

/** From its heading to the next one of this depth. */
function section(heading: string): string {
  const [depth = ''] = heading.split(' ');
  const [, text] = README.split(`\n${heading}\n`);
  assert.ok(text !== undefined, `no section ${heading}`);
  return text.split(new RegExp(`\n${depth} `))[0] ?? '';
}

const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -2).split(' | '));

function assertHasTable(text: string, table: string): void {
  assert.ok(text.includes(`\n${table}\n`), `this table is missing or differs:\n${table}`);
}

describe('the documentation of the protocol', () => {
  const layouts = {
    '## Reports': [reports.header],
    '### APP_UPDATE': [reports.appUpdateList, reports.appUpdate],
    '### THREAT_LOG': [reports.threatLog],
    '### CONNECTION': [reports.connectionList, reports.connection],
    '### FQDN_UPDATE': [reports.fqdnUpdate, reports.fqdnAddress],
    '### IP_FQDN_STORAGE_UPDATE': [reports.ipFqdn],
    '### KEEP_ALIVE': [reports.keepAlive],
    '### POLICY_REALIZED': [reports.policyRealized],
    '### RULE_HITS': [reports.ruleHitsList, reports.ruleHits],
    '### ERROR': [reports.errorReport],
  };
  for (const [heading, list] of Object.entries(layouts))
    it(`has the layout of ${heading.replace(/^#+ /, '')}`, () => {
      for (const layout of list) assertHasTable(section(heading), layoutTable(layout));
    });
  it('has every kind of report', () => {
    const kinds = rowsOf(section('## Reports')).flatMap(([number = '', name = '']) =>
      /^[A-Z_]+$/.test(name) ? [[name.replaceAll('_', '').toLowerCase(), Number(number)]] : [],
    );
    const defined = Object.entries(REPORT_KIND).map(([name, number]) => [name.toLowerCase(), number]);
    assert.deepEqual(Object.fromEntries(kinds), Object.fromEntries(defined));
  });
  it('has the threats', () => assertHasTable(section('### THREAT_LOG'), threatTable()));
  it('has the applications', () => assertHasTable(section('### ctrl_cfg_policy'), applicationTable()));
  it('has the error codes', () => {
    const rows = rowsOf(section('### ERROR').split('| code |')[1] ?? '').slice(1);
    assert.deepEqual(
      rows.map(([code, name]) => [name, Number(code)]),
      Object.entries(ERROR_CODE),
    );
  });
  it('has the commands with their numbers', () => {
    const rows = rowsOf(section('## Commands')).slice(2, 2 + COMMAND_NAMES.length);
    assert.deepEqual(
      rows.map(([number, name]) => [number, name]),
      COMMAND_NAMES.map((name, i) => [`${i + 1}`, `\`${name}\``]),
    );
  });
  for (const name of COMMAND_NAMES.filter((command) => README.includes(`### ${command}\n`)))
    it(`has the members of ${name}, each with its type and a meaning`, () => {
      const rows = rowsOf(section(`### ${name}`).split('| member |')[1]?.split('\n\n')[0] ?? '').slice(1);
      assert.deepEqual(
        rows.map(([member, type]) => ({ member, type })),
        memberRows(commandSchemas[name]).map(({ member, type }) => ({ member: `\`${member}\``, type })),
      );
      assert.ok(rows.every(([, , meaning]) => meaning));
    });
  it('has a section for every command that is not answered "not supported yet"', () => {
    for (const [, name = '', , answer = ''] of rowsOf(section('## Commands')).slice(2, 2 + COMMAND_NAMES.length))
      assert.equal(README.includes(`### ${name.replaceAll('`', '')}\n`), !answer.includes('not supported'), name);
  });
});
