// Writes the CustomResourceDefinitions into the chart, from the schemas: node deploy/crds.ts
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { customResourceDefinition, DEFINITIONS, type Definition } from '@podwall/controller/api/crd.ts';
import { formatYaml } from '@podwall/controller/yaml.ts';

const FOLDER = join(import.meta.dirname, '../charts/podwall/crds');

export const fileOf = ({ plural }: Definition): string => join(FOLDER, `${plural}.yaml`);

export const textOf = (definition: Definition): string =>
  `# Made by deploy/crds.ts from controller/api: change it there.\n${formatYaml(customResourceDefinition(definition))}`;

if (import.meta.main) {
  await mkdir(FOLDER, { recursive: true });
  for (const definition of DEFINITIONS) await writeFile(fileOf(definition), textOf(definition));
}
