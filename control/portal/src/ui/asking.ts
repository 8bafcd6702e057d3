/** What pages ask the APIs, and where that stands. */

import { useCallback, useEffect, useRef, useState } from "react";
import type { Answer, Api, Query } from "../lib/api";
import { type Listed, type Page, more } from "../lib/pages";
import { type Shown, of } from "../lib/problem";
import { usePortal } from "./context";

export interface Asked<T> {
  readonly answer: Answer<T> | undefined;
  readonly problem: Shown | undefined;
  readonly loading: boolean;
  readonly again: () => void;
}

/** Asks for one thing; with `every`, again and again in so many milliseconds, for as long as the page is seen. */
export function useAsk<T>(path: string, query?: Query, every?: number): Asked<T> {
  const { api } = usePortal();
  const [state, setState] = useState<Omit<Asked<T>, "again">>({ answer: undefined, problem: undefined, loading: true });
  const [turn, setTurn] = useState(0);
  const known = useRef<Answer<T> | undefined>(undefined);
  const asking = useRef(false);
  const words = JSON.stringify(query ?? {});
  useEffect(() => {
    known.current = undefined;
    setState({ answer: undefined, problem: undefined, loading: true });
  }, [path, words]);
  useEffect(() => {
    const ended = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    asking.current = true;
    api.ask<T>(path, { query: JSON.parse(words) as Query, ifNoneMatch: known.current?.etag, signal: ended.signal }).then(
      (answer) => {
        asking.current = false;
        if (answer.status !== 304) known.current = answer;
        setState({ answer: known.current, problem: undefined, loading: false });
      },
      (thrown: unknown) => {
        if (ended.signal.aborted) return;
        asking.current = false;
        setState({ answer: known.current, problem: of(thrown), loading: false });
      },
    );
    return () => ended.abort();
  }, [api, path, words, turn]);
  const again = useCallback(() => setTurn((now) => now + 1), []);
  useEffect(() => {
    if (every === undefined) return undefined;
    // An answer that takes longer is waited for: asked anew it would never come.
    const timer = setInterval(() => document.visibilityState === "visible" && !asking.current && again(), every);
    return () => clearInterval(timer);
  }, [every, again]);
  return { ...state, again };
}

export interface List<T> {
  readonly listed: Listed<T> | undefined;
  readonly problem: Shown | undefined;
  readonly loading: boolean;
  readonly more: () => void;
  readonly again: () => void;
  /** What was asked last, once more. */
  readonly retry: () => void;
}

/** Asks for a list, a page at a time. */
export function useList<T>(path: string, query: Query, id: (item: T) => string): List<T> {
  const { api } = usePortal();
  const [state, setState] = useState<Pick<List<T>, "listed" | "problem" | "loading">>({ listed: undefined, problem: undefined, loading: true });
  const words = JSON.stringify(query);
  const running = useRef<AbortController | undefined>(undefined);
  const last = useRef<Listed<T> | undefined>(undefined);
  const go = useCallback(
    (before: Listed<T> | undefined) => {
      running.current?.abort();
      const ended = new AbortController();
      running.current = ended;
      last.current = before;
      setState((now) => ({ ...now, loading: true, problem: undefined }));
      more(pages<T>(api, path, JSON.parse(words) as Query, ended.signal), id, before).then(
        (listed) => setState({ listed, problem: undefined, loading: false }),
        (thrown: unknown) => {
          if (!ended.signal.aborted) setState((now) => ({ ...now, problem: of(thrown), loading: false }));
        },
      );
    },
    // `id` says the same of an item each time, whichever function it is.
    [api, path, words],
  );
  useEffect(() => {
    setState({ listed: undefined, problem: undefined, loading: true });
    go(undefined);
    return () => running.current?.abort();
  }, [go]);
  return { ...state, more: () => go(state.listed), again: () => go(undefined), retry: () => go(last.current) };
}

function pages<T>(api: Api, path: string, query: Query, signal: AbortSignal) {
  return async (cursor: string | undefined): Promise<Page<T>> => (await api.ask<Page<T>>(path, { query: { ...query, cursor }, signal })).body;
}
