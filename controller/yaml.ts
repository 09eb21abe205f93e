// YAML as text and as values.
import { parseAllDocuments, stringify } from 'yaml';
import { parserMessage } from './api/printable.ts';

export type YamlDocument = { readonly value: unknown } | { readonly error: string };

/** One entry a document that is not empty; an error says line and column. */
export function parseYaml(text: string): YamlDocument[] {
  const read: YamlDocument[] = [];
  for (const document of parseAllDocuments(text, { logLevel: 'silent' })) {
    const [error] = document.errors;
    if (error) {
      read.push({ error: parserMessage(error.message) });
      continue;
    }
    try {
      const value: unknown = document.toJS(); // throws at aliases that would grow without bound
      if (value !== null && value !== undefined) read.push({ value });
    } catch (cause) {
      read.push({ error: parserMessage(cause instanceof Error ? cause.message : String(cause)) });
    }
  }
  return read;
}

export const formatYaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
