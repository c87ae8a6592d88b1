"""Whole figures: body, limbs and clothes in a pose, with head, face, mark and what is held. Origin between the feet, y up, in figure heights."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from story_ldm.data.toonstories2.brush import Canvas, Piece, Tint, blob, box, curve, ellipse, moved, ribbon, turned, xy
from story_ldm.data.toonstories2.faces import face
from story_ldm.data.toonstories2.heads import head
from story_ldm.data.toonstories2.looks import RGB, palette
from story_ldm.data.toonstories2.marks import MARKS_ON_BODY, effects, food, mark_piece, open_book
from story_ldm.data.toonstories2.people import behind
from story_ldm.data.toonstories2.poses import HOLDING, POSES, Pose
from story_ldm.data.toonstories2.props import prop_piece
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, KINDS, MARKS, PROPS, Figure

EDGE = 0.012  # of the frame that figures keep clear of
SIZES = {"mouse": 0.86, "duck": 0.92, "elephant": 1.08, "dragon": 1.08, "man": 1.16, "woman": 1.12, "lion": 1.04, "bear": 1.05, "rabbit": 0.95}
HEAD = 1.1  # larger than drawn in `heads.py`, so that a face reads in a small picture
NECK, CHIN = (0.0, 0.475), 0.235  # the middle of the head is CHIN above the neck
BIRDS = ("duck", "penguin", "owl")
BARE_LEGS = ("girl", "woman")


class Body(NamedTuple):
    back: Piece  # tail, wings
    front: Piece
    over: Piece  # arms before the head
    neck: tuple[float, float]
    degrees: float  # of the head
    hand: tuple[float, float]  # the leading one


def _leg(p: Piece, kind: str, hip: tuple[float, float], foot: tuple[float, float], knee: float, toe: float, turn: int) -> None:
    short = kind in BIRDS
    dx, dy = foot[0] - hip[0], foot[1] - hip[1]
    bend = (
        ((hip[0] + foot[0]) / 2 - dy * knee * 8, (hip[1] + foot[1]) / 2 + dx * knee * 8) if knee else ((hip[0] + foot[0]) / 2, (hip[1] + foot[1]) / 2)
    )
    width = 0.055 if short else 0.12 if kind in ("elephant", "bear") else 0.1
    line = curve(hip, bend, foot)
    p.shape(ribbon(line, width * 1.1, width * 0.92), "acc" if short else "leg", shade=0.02)
    x = 0.038 * turn if abs(toe) < 45 else 0.0
    if toe == 90 and not short:  # soles
        p.shape(ellipse(foot[0], foot[1] + 0.01, 0.078, 0.088), "shoe", shade=0.02)
        p.shape(ellipse(foot[0], foot[1], 0.042, 0.048), "sole", None)
        return
    if short:
        shape = blob(xy("-.05 0, .02 .035, .085 .012, .095 -.03, 0 -.035, -.06 -.03"), 4) if turn else ellipse(0, -0.01, 0.075, 0.032)
        p.shape(turned(shape, toe) + foot, "acc")
    elif kind == "robot":
        p.shape(turned(box(-0.07 + x, -0.04, 0.075 + x, 0.03, 0.025), toe) + foot, "dark")
    else:
        p.shape(turned(ellipse(x, -0.004, 0.078 + 0.012 * turn, 0.046), toe) + foot, "shoe", shade=0.015)


def _arm(p: Piece, kind: str, shoulder: tuple[float, float], hand: tuple[float, float], bend: float) -> None:
    dx, dy = hand[0] - shoulder[0], hand[1] - shoulder[1]
    reach = max(math.hypot(dx, dy), 1e-6)
    elbow = ((shoulder[0] + hand[0]) / 2 - dy / reach * bend * 2, (shoulder[1] + hand[1]) / 2 + dx / reach * bend * 2)
    line = curve(shoulder, elbow, hand)
    if kind in BIRDS:  # wings, with a sleeve
        p.shape(ribbon(line, 0.105, 0.125), "fur", shade=0.02)
        p.shape(ribbon(line[:5], 0.118, 0.13), "cloth", shade=0.02)
        return
    p.shape(ellipse(hand[0], hand[1], 0.056, 0.056), "dark" if kind == "robot" else "fur", shade=0.015)
    p.shape(ribbon(line[:-1], 0.098, 0.088), "cloth", shade=0.022)


def _torso(p: Piece, kind: str) -> None:
    if kind == "robot":
        p.shape(box(-0.19, 0.13, 0.19, 0.49, 0.06), "cloth", shade=0.04)
        for k, c in enumerate(((250, 96, 80), (255, 214, 80), (120, 220, 140))):
            p.shape(ellipse(-0.07 + 0.07 * k, 0.2, 0.022, 0.022), c, line=0.009)
    elif kind == "woman":
        p.shape(
            blob(xy("-.07 .5, .07 .5, .125 .44, .105 .31, .19 .1, .2 .065, 0 .045, -.2 .065, -.19 .1, -.105 .31, -.125 .44")), "cloth", shade=0.05
        )
        p.shape(ribbon(curve((-0.108, 0.31), (0, 0.285), (0.108, 0.31)), 0.03), "cloth-", None)
    elif kind == "girl":
        p.shape(
            blob(xy("-.07 .5, .07 .5, .13 .43, .125 .33, .235 .135, .12 .105, 0 .125, -.12 .105, -.235 .135, -.125 .33, -.13 .43")),
            "cloth",
            shade=0.05,
        )
        p.shape(ribbon(curve((-0.12, 0.335), (0, 0.31), (0.12, 0.335)), 0.024), "cloth-", None)
        for s in (1, -1):  # a collar
            p.shape(blob([(0, 0.455), (s * 0.03, 0.49), (s * 0.11, 0.475), (s * 0.075, 0.42)], 4), (255, 250, 244), line=0.009)
    elif kind == "man":
        p.shape(blob(xy("-.09 .5, .09 .5, .165 .44, .175 .28, .165 .145, 0 .125, -.165 .145, -.175 .28, -.165 .44")), "cloth", shade=0.05)
        p.stroke([(0, 0.48), (0, 0.15)], 0.014, "cloth-")
        for y in (0.36, 0.26):
            p.shape(ellipse(0.035, y, 0.013, 0.013), "cloth-", None)
    elif kind in BIRDS or kind == "pig":
        p.shape(blob(xy("-.08 .5, .08 .5, .175 .4, .215 .24, .13 .085, 0 .065, -.13 .085, -.215 .24, -.175 .4")), "fur", shade=0.04)
        p.shape(blob(xy("-.08 .5, .08 .5, .175 .4, .215 .235, .17 .15, 0 .125, -.17 .15, -.215 .235, -.175 .4")), "cloth", shade=0.05)
    else:
        wide = 1.12 if kind in ("elephant", "bear", "dragon") else 1.0
        p.shape(ellipse(0, 0.165, 0.15 * wide, 0.08), "leg" if kind == "boy" else "fur", shade=0.03)
        p.shape(
            blob(
                [
                    (-0.085, 0.50),
                    (0.085, 0.50),
                    (0.15 * wide, 0.43),
                    (0.17 * wide, 0.28),
                    (0.178 * wide, 0.165),
                    (0, 0.135),
                    (-0.178 * wide, 0.165),
                    (-0.17 * wide, 0.28),
                    (-0.15 * wide, 0.43),
                ]
            ),
            "cloth",
            shade=0.05,
        )
        p.shape(ribbon(curve((-0.165 * wide, 0.188), (0, 0.155), (0.165 * wide, 0.188)), 0.018), "cloth-", None)


def _back(p: Piece, kind: str) -> None:
    """Tails and wings; a tail is on the left."""
    if kind == "fox":
        p.shape(blob(xy("-.08 .17, -.22 .1, -.36 .2, -.37 .4, -.29 .53, -.25 .38, -.2 .27, -.1 .26")), "fur", shade=0.03)
        p.shape(blob([(-0.37, 0.39), (-0.29, 0.53), (-0.25, 0.385), (-0.31, 0.42)], 4), "pale", None)
    elif kind == "cat":
        line = np.concatenate([curve((-0.1, 0.15), (-0.30, 0.10), (-0.31, 0.30)), curve((-0.31, 0.32), (-0.32, 0.48), (-0.22, 0.50))])
        p.shape(ribbon(line, 0.06, 0.05), "fur", shade=0.015)
        p.shape(ribbon(line[-5:], 0.052, 0.05), "dark", None)
    elif kind == "dog":
        p.shape(ribbon(curve((-0.11, 0.17), (-0.28, 0.18), (-0.30, 0.40)), 0.075, 0.05), "fur", shade=0.02)
    elif kind == "lion":
        p.shape(ribbon(curve((-0.1, 0.16), (-0.36, 0.12), (-0.32, 0.34)), 0.042), "fur")
        p.shape(blob([(-0.32, 0.30), (-0.26, 0.38), (-0.31, 0.47), (-0.38, 0.39)]), "dark")
    elif kind == "mouse":
        p.shape(
            ribbon(
                np.concatenate([curve((-0.08, 0.14), (-0.28, 0.02), (-0.33, 0.16)), curve((-0.335, 0.18), (-0.36, 0.28), (-0.42, 0.26))]),
                0.036,
                0.024,
            ),
            "acc",
            line=0.014,
        )
    elif kind == "pig":
        p.stroke(
            np.concatenate(
                [
                    curve((-0.18, 0.2), (-0.30, 0.20), (-0.28, 0.27)),
                    curve((-0.275, 0.27), (-0.23, 0.31), (-0.23, 0.24)),
                    curve((-0.23, 0.23), (-0.26, 0.18), (-0.33, 0.24)),
                ]
            ),
            0.05,
        )
        p.stroke(
            np.concatenate(
                [
                    curve((-0.18, 0.2), (-0.30, 0.20), (-0.28, 0.27)),
                    curve((-0.275, 0.27), (-0.23, 0.31), (-0.23, 0.24)),
                    curve((-0.23, 0.23), (-0.26, 0.18), (-0.33, 0.24)),
                ]
            ),
            0.022,
            "acc",
        )
    elif kind == "rabbit":
        p.shape(ellipse(-0.18, 0.17, 0.075, 0.075), "pale", shade=0.02)
    elif kind == "elephant":
        p.stroke(curve((-0.12, 0.22), (-0.28, 0.22), (-0.27, 0.08)), 0.04)
        p.stroke(curve((-0.12, 0.22), (-0.28, 0.22), (-0.27, 0.08)), 0.014, "fur")
        p.shape(ellipse(-0.27, 0.07, 0.03, 0.04), "dark", line=0.012)
    elif kind == "duck":
        p.shape(blob([(-0.10, 0.12), (-0.26, 0.17), (-0.33, 0.27), (-0.22, 0.27), (-0.12, 0.24)]), "fur", shade=0.02)
    elif kind == "dragon":
        for s in (1, -1):  # wings
            p.shape(
                np.array(xy(".08 .34, .2 .52, .33 .64, .455 .675, .44 .56, .46 .45, .37 .47, .335 .37, .25 .41, .2 .33")) * (s, 1), "acc", shade=0.03
            )
        p.shape(blob([(-0.08, 0.20), (-0.24, 0.17), (-0.36, 0.06), (-0.43, 0.14), (-0.38, 0.02), (-0.24, 0.045), (-0.08, 0.08)]), "fur", shade=0.02)
        p.shape([(-0.38, 0.085), (-0.50, 0.10), (-0.45, 0.21)], "acc")


def _pose(action: str, holding: bool) -> Pose:
    pose = POSES[action]
    return pose._replace(lead=HOLDING[action], bends=(pose.bends[0], 0.05), grip=-14) if holding and action in HOLDING else pose


@lru_cache(maxsize=4096)
def body(kind: str, action: str, turn: int, light: tuple[float, float], holding: bool = False) -> Body:
    pose = _pose(action, holding)
    back, front, over = Piece(light), Piece(light), Piece(light)
    hip_y = 0.12 if kind in BIRDS else 0.17
    side = turn or int(pose.side)
    if action == "sit" and not turn:
        pose = pose._replace(rear=(-0.20, 0.235), feet=((-0.16, 0.185), (0.16, 0.185)), knees=(-0.05, 0.05), toes=(90, 90))
    _back(back, kind)
    legs = Piece(light)
    for hip, foot, knee, toe in zip((-0.075, 0.075), pose.feet, pose.knees, pose.toes, strict=True):
        if kind in BIRDS:  # short legs
            foot = (foot[0] * 0.75, foot[1] + (0.0 if abs(foot[1]) < 0.05 else 0.01))
        _leg(legs, kind, (hip, hip_y), foot, knee, toe, side)
    arms = over if pose.over else Piece(light)
    x = 0.02 * turn
    _arm(arms, kind, (-0.135 + x, 0.425), pose.rear, pose.bends[0])
    _arm(arms, kind, (0.135 - x, 0.425), pose.lead, pose.bends[1])
    if action == "sit":
        _torso(front, kind)
        front.extend(legs)
    else:
        front.extend(legs)
        _torso(front, kind)
    if action == "point" and kind not in BIRDS:
        hand = pose.lead
        arms.shape(ribbon([(hand[0] + 0.03, hand[1] + 0.015), (hand[0] + 0.125, hand[1] + 0.03)], 0.042), "dark" if kind == "robot" else "fur")
    if not pose.over:
        front.extend(arms)
    pivot = (0.0, pose.pivot)
    for p in (back, front, over):
        p.turn(-pose.lean, pivot)
        p.points = [moved(q, 0.0, pose.lift) for q in p.points]
    neck, hand = (turned(np.array([at]), -pose.lean, pivot)[0] + (0.0, pose.lift) for at in (NECK, pose.lead))
    return Body(
        back, front, over, (float(neck[0]) + pose.nod[0], float(neck[1]) + pose.nod[1]), -(pose.lean + pose.tilt), (float(hand[0]), float(hand[1]))
    )


def paint_figure(canvas: Canvas, f: Figure, x: float, y: float, height: float, flip: bool, turn: int, tint: Tint, action: str | None = None) -> None:
    """Paints a figure with its feet at (x, y) of the frame, `height` frames tall; `flip`: turned to the left."""
    kind, what, mood = KINDS[f.kind], action or ACTIONS[f.action], FACES[f.face]
    light = (0.6 if flip else -0.6, 0.8)
    colours = palette(kind, f.look, RGB[COLORS[f.garment]])
    scale = height * SIZES.get(kind, 1.0)
    b, pose = body(kind, what, turn, light, bool(f.prop)), _pose(what, bool(f.prop))
    sign = -1 if flip else 1
    painted: list[tuple[Piece, tuple[float, float], float, float]] = []  # and where, in figure heights; degrees; scale

    def paint(piece: Piece, at: tuple[float, float] = (0.0, 0.0), degrees: float = 0.0, larger: float = 1.0) -> None:
        painted.append((piece, at, degrees, larger))

    wide = {"sleep": 0.46, "fall": 0.3, "jump": 0.2, "run": 0.3}.get(what, 0.27)
    shadow = Piece().shape(ellipse(0.0, 0.005, wide, 0.048), (40, 24, 60, 80), None)
    paint(shadow)
    paint(effects(what, False))
    a = math.radians(b.degrees)
    middle = (b.neck[0] - math.sin(a) * CHIN, b.neck[1] + math.cos(a) * CHIN)
    mark = MARKS[f.mark]
    held = f.prop if what not in ("sleep", "fall", "read", "hug", "eat") or (f.prop and what == "read" and PROPS[f.prop[0]] == "book") else None
    colour = RGB[COLORS[f.prop[1]]] if f.prop else (160, 110, 70)
    if what != "sleep":
        paint(b.back)
    paint(behind(kind, turn, light), middle, b.degrees, HEAD)
    if held and PROPS[held[0]] == "balloon":
        paint(prop_piece("balloon", colour, light), b.hand, pose.grip)
    paint(b.front)
    if mark in MARKS_ON_BODY and mark != "scarf":
        chest = turned(np.array([(0.0, 0.31)]), -pose.lean, (0.0, pose.pivot))[0] + (0.0, pose.lift)
        paint(mark_piece(mark, kind, turn, light), (float(chest[0]), float(chest[1])), -pose.lean)
    if mark == "scarf":
        paint(mark_piece(mark, kind, turn, light), b.neck, -pose.lean)
    paint(head(kind, turn, light), middle, b.degrees, HEAD)
    paint(face(kind, "asleep" if what == "sleep" else mood, turn, light), middle, b.degrees, HEAD)
    if mark not in MARKS_ON_BODY:
        paint(mark_piece(mark, kind, turn, light), middle, b.degrees, HEAD)
    paint(b.over)
    if what == "read":
        paint(open_book(colour if held else (168, 108, 66), light), (0.06, 0.345))
    elif what == "eat":
        paint(food(light), middle)
    elif held and PROPS[held[0]] != "balloon":
        paint(prop_piece(PROPS[held[0]], colour, light), b.hand, pose.grip)
    paint(effects(what, True))
    if f.prop and held is None:  # laid down
        painted.append((prop_piece(PROPS[f.prop[0]], colour, light), (0.36, 0.22), 0.0, 1.0))
    reach = [reach for piece, at, degrees, larger in painted if (reach := _reach(piece, at[0], degrees, larger))]
    left, right = min(r[0] for r in reach) * scale, max(r[1] for r in reach) * scale
    if flip:
        left, right = -right, -left
    x = min(max(x, EDGE - left), 1 - EDGE - right) if right - left < 1 - 2 * EDGE else 0.5 - (left + right) / 2
    for piece, at, degrees, larger in painted:
        canvas.paint(piece, x + sign * at[0] * scale, y - at[1] * scale, scale * larger, flip, True, colours, tint, degrees)


def _reach(piece: Piece, x: float, degrees: float, larger: float) -> tuple[float, float] | None:
    """How far to the left and right of the feet a piece comes."""
    if (box_ := piece.bounds()) is None:
        return None
    c, s = math.cos(math.radians(degrees)) * larger, math.sin(math.radians(degrees)) * larger
    across = [px * c - py * s for px in box_[0] for py in box_[1]]
    return x + min(across), x + max(across)
