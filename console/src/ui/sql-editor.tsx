import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { PostgreSQL, type SQLNamespace, sql } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState, Prec } from '@codemirror/state'
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useRef } from 'react'
import { nonce } from '@/lib/nonce'

// The colours are those of the page, so that they follow its theme.
const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.bool, tags.null], color: 'var(--accent)', fontWeight: '500' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--development)' },
  { tag: [tags.number], color: 'var(--preview)' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--warn)' },
  { tag: [tags.comment], color: 'var(--faint)', fontStyle: 'italic' },
])

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', color: 'var(--text)', backgroundColor: 'transparent' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--faint)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in oklab, var(--hover) 55%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in oklab, var(--accent) 26%, transparent)',
  },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: '6px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-solid)', color: '#fff' },
  '.cm-placeholder': { color: 'var(--faint)' },
})

/**
 * Puts text that replaces other text into the document itself. Left to Chromium, the new text keeps the look of what it replaces by
 * a style attribute, which the content security policy refuses.
 */
const replaceWithoutStyle = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { main } = view.state.selection
    const text = event.data
    if (event.inputType !== 'insertText' || text === null || main.empty || view.composing) return false
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type' })
    const handled = view.state
      .facet(EditorView.inputHandler)
      .some((handle) => handle(view, main.from, main.to, text, insert))
    if (!handled) view.dispatch(insert())
    event.preventDefault()
    return true
  },
})

/** What of the text shall run: the selection, else everything. */
export type Chosen = { text: string; selected: boolean; from: number }

type Props = {
  text: string
  onText: (text: string) => void
  onChoose: (chosen: Chosen) => void
  onRun: () => void
  completions?: SQLNamespace
  readOnly?: boolean
  label: string
}

function language(completions: SQLNamespace | undefined) {
  return sql({ dialect: PostgreSQL, schema: completions, defaultSchema: 'public', upperCaseKeywords: true })
}

/** An editor for SQL that completes the names of the schema. */
export default function SQLEditor({ text, onText, onChoose, onRun, completions, readOnly, label }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView | null>(null)
  const tongue = useRef(new Compartment())
  const calls = useRef({ onText, onChoose, onRun })
  calls.current = { onText, onChoose, onRun }
  const initial = useRef({ text, completions, readOnly, label })

  useEffect(() => {
    if (!host.current) return
    const tell = (state: EditorState) => {
      const { main } = state.selection
      const selected = !main.empty && state.sliceDoc(main.from, main.to).trim() !== ''
      calls.current.onChoose(
        selected
          ? { text: state.sliceDoc(main.from, main.to), selected, from: main.from }
          : { text: state.doc.toString(), selected, from: 0 },
      )
    }
    const start = initial.current
    const made = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: start.text,
        extensions: [
          EditorView.cspNonce.of(nonce() ?? ''),
          Prec.highest(
            keymap.of([
              {
                key: 'Mod-Enter',
                run: () => {
                  calls.current.onRun()
                  return true
                },
              },
            ]),
          ),
          lineNumbers(),
          history(),
          drawSelection(),
          highlightSpecialChars(),
          highlightActiveLine(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          syntaxHighlighting(colours),
          tongue.current.of(language(start.completions)),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
          placeholder('SELECT …'),
          theme,
          replaceWithoutStyle,
          EditorView.lineWrapping,
          EditorState.readOnly.of(start.readOnly ?? false),
          EditorView.contentAttributes.of({ 'aria-label': start.label }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) calls.current.onText(update.state.doc.toString())
            if (update.docChanged || update.selectionSet) tell(update.state)
          }),
        ],
      }),
    })
    view.current = made
    tell(made.state)
    return () => made.destroy()
  }, [])

  useEffect(() => {
    view.current?.dispatch({ effects: tongue.current.reconfigure(language(completions)) })
  }, [completions])

  // A text that comes from elsewhere, such as the history, takes the place of what is there.
  useEffect(() => {
    const v = view.current
    if (v && v.state.doc.toString() !== text) v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: text } })
  }, [text])

  return <div ref={host} className="h-full min-h-0 overflow-hidden" />
}
