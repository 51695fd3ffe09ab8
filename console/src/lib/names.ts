/** Says why a project cannot have that name, as the server would; null when it can. */
export function nameProblem(name: string): string | null {
  if (name.length > 20) return 'At most 20 characters.'
  if (!/^[a-z]/.test(name)) return 'Begin with a lower-case letter.'
  if (!/^[a-z0-9-]*$/.test(name)) return 'Only lower-case letters, digits and dashes.'
  if (name.endsWith('-')) return 'A dash cannot be the last character.'
  return null
}
