// What the applications ask, for Apollo Client and for urql; the types of answers and variables are generated.
import { graphql } from "./__generated__/gql/index.js";

export const LIST = graphql(`
  query List($id: ID!) {
    savedSearch(id: $id) {
      id
      name
      state
      members(first: 50) {
        asOf
        nodes {
          ...Stay
        }
      }
    }
  }
`);

export const STAY = graphql(`
  fragment Stay on SavedSearchMember {
    id
    joinedAt
    cause {
      kind
    }
    email {
      id
      subject
    }
  }
`);

export const CHANGES = graphql(`
  subscription Changes($id: ID!, $after: ChangeCursor) {
    savedSearchChanges(savedSearchId: $id, after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on MemberJoined {
        memberId
        member {
          ...Stay
        }
      }
      ... on MemberLeft {
        memberId
      }
      ... on SavedSearchUpserted {
        savedSearch {
          id
          name
          state
        }
      }
    }
  }
`);

export const TASKS = graphql(`
  query Tasks {
    tasks(filter: { status: [OPEN] }, first: 50) {
      asOf
      nodes {
        ...Todo
      }
    }
  }
`);

export const TODO = graphql(`
  fragment Todo on Task {
    id
    name
    status
    dueOn
    priority
    person {
      id
      name
    }
  }
`);

export const TASK_CHANGES = graphql(`
  subscription TaskChanges($after: ChangeCursor) {
    taskChanges(after: $after) {
      __typename
      ... on Change {
        cursor
      }
      ... on TaskUpserted {
        taskId
        task {
          ...Todo
        }
      }
      ... on TaskDeleted {
        taskId
      }
    }
  }
`);
